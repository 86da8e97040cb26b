"""`detect`: a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ringwatch.cli.review import catch_up
from ringwatch.cli.session import Session, Wait, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "detect")(_detect)


def _detect(
    session: Session,
    as_of: Annotated[str | None, typer.Option(help="What was known then, like 2026-03-31T00:00:00Z.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same run.", min=0)] = 0,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Use no label, status or model.")] = False,
    wait: Wait = 10.0,
) -> None:
    """Weigh the evidence, find communities, score them."""
    from ringwatch.clock import parse_time
    from ringwatch.pipeline import run_detection

    moment = parse_time(as_of) if as_of is not None else None
    workspace = session.workspace()
    catch_up(workspace, wait)
    run = run_detection(workspace, as_of=moment, seed=seed, labels=not no_labels, wait=wait, watch=session.watch())

    def show() -> None:
        session.line(
            f"{run.clusters:,} clusters among {run.accounts:,} accounts, on {run.edges:,} edges that stand. "
            f"Run {run.run_id}, {run.seconds:.1f} s, {run.peak_rss_mb:,} MB."
        )
        session.line("See them: `ringwatch clusters list`.")

    session.say("detect", run.document(), show)
