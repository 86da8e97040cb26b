"""`safeguards`: what was refused of what did harm, and what got through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ringwatch.cli.listing import OfRun, Suspected
from ringwatch.cli.session import Plot, Session, command
from ringwatch.workspace import write_file

if TYPE_CHECKING:
    from ringwatch.evaluation import Safeguards


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "safeguards")(_safeguards)


def _safeguards(
    session: Session,
    run: OfRun = None,
    min_score: Suspected = 0.5,
    plot: Plot = None,
) -> None:
    """Say whether safeguards work: in chat, through the API and in agents, at suspects and at all others."""
    from ringwatch.evaluation import refusal_chart, safeguards
    from ringwatch.pipeline import load_run

    workspace = session.workspace()
    found = safeguards(workspace, load_run(workspace, run), min_score=min_score, watch=session.watch())
    if plot:
        write_file(plot, refusal_chart(found).encode())
    session.say("safeguards", found.document(), lambda: _show(session, found))


def _show(session: Session, found: Safeguards) -> None:
    from ringwatch.evaluation.safeguards import ANSWERED_COLUMNS, REFUSED_COLUMNS

    if not found.judged:
        session.line(f"Run {found.run_id}: no event says whether it was refused.")
        return
    session.line(
        f"Run {found.run_id}: {found.judged:,} events say whether they were refused, {found.unjudged:,} do not."
    )
    session.line()
    rows = [one.cells() for one in found.refusals]
    session.table(REFUSED_COLUMNS, rows, right=("harmful", "refused", "harmless"))
    if found.answered:
        session.line()
        again = [one.cells() for one in found.answered]
        session.table(ANSWERED_COLUMNS, again, right=("texts", "events", "answered"))
