"""`takedown`: what is handed to whoever carries an approved case out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.session import Session, Wait, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    takedown = typer.Typer(no_args_is_help=True, help="The packet of an approved case.")
    app.add_typer(takedown, name="takedown")
    command(takedown, "export")(_export)


def _export(
    session: Session,
    case: Annotated[str, typer.Argument(help="Id of the case.")],
    output: Annotated[Path, typer.Option(help="A new or empty folder.")],
    wait: Wait = 10.0,
) -> None:
    """Write the packet: actions, evidence, collateral, plan, reversal, notices, and what was not looked at."""
    from ringwatch.export import export_takedown

    report = export_takedown(session.workspace(), case, output, wait=wait)
    found = report.collateral

    def show() -> None:
        session.table(("file", "sha256"), report.files)
        session.line(
            f"{found.accounts} accounts are acted on, {found.expected} of them expected to be benign"
            f" ({found.low} to {found.high}, 95 %). Begin with {output / 'README.txt'}."
        )

    session.say("takedown", report.document(), show)
