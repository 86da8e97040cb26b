"""`explain`: why an account or a cluster has its score, and what would change it."""

from __future__ import annotations

from typing import Annotated

import typer

from ringwatch.cli.session import Plot, Session, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "explain")(_explain)


def _explain(
    session: Session,
    name: Annotated[str, typer.Argument(help="Id of an account or of a cluster.")],
    plot: Plot = None,
) -> None:
    """Say why an account or a cluster has its score: a sentence, shares in bits, and what it would fall without."""
    from ringwatch.export.pictures import waterfall
    from ringwatch.pipeline import explain

    why = explain(session.workspace(), name, watch=session.watch())
    if plot is not None:
        waterfall(why.shares, why.sentence.split(". ", 1)[0] + ".").save(plot)

    def show() -> None:
        session.line(why.sentence)
        if why.explanation is not None:
            session.line()
            rows = [
                (one.theme, f"{one.bits:+.2f}", f"{one.without:.3f}", _bar(one.bits))
                for one in why.explanation.reasons
                if abs(one.bits) >= 0.01
            ]
            session.table(("reason", "bits", "score without it", ""), rows, right=("bits", "score without it"))
        if why.entities:
            session.line()
            rows = [
                (one["layer"], one["entity"], str(one["accounts"]), f"{one['bits']:+.1f}") for one in why.entities
            ]
            session.table(
                ("layer", "entity", "accounts", "bits lost without"), rows, right=("accounts", "bits lost without")
            )
        if why.breaks:
            session.line()
            session.line(f"Falls apart without {', '.join(str(one['entity']) for one in why.breaks)}.")
        told = {"ties": why.fidelity} | ({"score": why.explanation.fidelity} if why.explanation else {})
        session.line()
        for what, found in told.items():
            if not found:
                continue
            lost, random, kept = (f"{found[name]:.0%}" for name in ("necessity", "random", "sufficiency"))
            session.line(
                f"Does it hold ({what})? Without the first {found['top']:.0f} {lost} is lost, without as many at "
                f"random {random}; with them alone {kept} is there."
            )

    session.say("explain", why.document(), show)


def _bar(bits: float) -> str:
    """A bar as long as the share, a quarter of a bit a mark."""
    return ("+" if bits > 0 else "–") * min(round(abs(bits) * 4), 40)
