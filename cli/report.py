"""`report`: a run written up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.listing import Limit, OfRun, Suspected
from ringwatch.cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "report")(_report)


def _report(
    session: Session,
    output: Annotated[Path, typer.Option(help="A file that ends in .html or .md.")],
    run: OfRun = None,
    labels: Annotated[Path | None, typer.Option(help="A labels table that the run did not see.")] = None,
    min_score: Suspected = 0.5,
    limit: Limit = 20,
) -> None:
    """Write up a run: what was found and why, what became of it, whether safeguards work, and what is not known."""
    from ringwatch.export import write_report

    written = write_report(
        session.workspace(), output, run_id=run, labels=labels, min_score=min_score, limit=limit,
        watch=session.watch(),
    )  # fmt: skip
    session.say("report", written.document(), lambda: session.line(f"Run {written.report.run_id} in {output}."))
