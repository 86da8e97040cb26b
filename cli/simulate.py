"""`simulate`: a drop with planted operations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "simulate")(_simulate)


def _simulate(
    session: Session,
    scenario: Annotated[str, typer.Argument(help="easy, medium, hard or evasive.")],
    output: Annotated[Path, typer.Option(help="A new folder for the drop.")],
    seed: Annotated[int, typer.Option(help="The same seed, the same bytes.", min=0)] = 0,
    accounts: Annotated[int | None, typer.Option(help="How many accounts.", min=1)] = None,
    prevalence: Annotated[float | None, typer.Option(help="Share of accounts in operations, 0 to 1.")] = None,
) -> None:
    """Write a drop with planted operations and benign look-alikes, and the truth beside it."""
    from ringwatch.data import simulate

    report = simulate(scenario, output, seed=seed, accounts=accounts, prevalence=prevalence, watch=session.watch())

    def show() -> None:
        session.line(
            f"{report.accounts:,} accounts, {report.events:,} events, {report.operations} operations in {output}; "
            f"the answer is in {output / 'truth'}."
        )

    session.say("simulate", report.document(), show)
