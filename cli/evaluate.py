"""`evaluate`: how good a run is, where some of the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringwatch.cli.session import Session, command

if TYPE_CHECKING:
    from ringwatch.evaluation import Estimate


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "evaluate")(_evaluate)


def _evaluate(
    session: Session,
    labels: Annotated[Path, typer.Option(help="A labels table that the run did not see.")],
    run: Annotated[str | None, typer.Option("--run", help="Of this run, not the newest.")] = None,
    k: Annotated[int | None, typer.Option(help="Depth of precision and recall.", min=1)] = None,
) -> None:
    """Measure a run against labels, with 95 % intervals over whole groups."""
    from ringwatch.evaluation import evaluate

    report = evaluate(session.workspace(), labels, run_id=run, k=k)

    def show() -> None:
        counts = report.counts
        session.line(
            f"Run {report.run_id}: {counts['evaluated']:,} labelled accounts, {counts['abusive']:,} abusive, "
            f"{counts['recoverable_groups']} groups of three or more."
        )
        for title, figures in (("accounts", report.accounts), ("clusters", report.clusters)):
            session.line()
            session.table((title, "", "95 %"), [_row(name, figure) for name, figure in figures.items()], right=("",))
        for share, figures in report.corrected.items():
            session.line()
            title = f"at {share:.1%} abusive"
            session.table((title, "", "95 %"), [_row(name, figure) for name, figure in figures.items()], right=("",))
        if report.kinds:
            session.line()
            rows = [
                (one.kind, one.groups, _value(one.recovery.value), _value(one.attainable)) for one in report.kinds
            ]
            session.table(
                ("kind", "groups", "recovery", "attainable"), rows, right=("groups", "recovery", "attainable")
            )

    for warning in report.warnings:
        typer.echo(f"ringwatch: {warning}", err=True)
    session.say("evaluate", report.document(), show)


def _row(name: str, figure: Estimate) -> tuple[str, str, str]:
    interval = "" if figure.low is None else f"{_value(figure.low)} to {_value(figure.high)}"
    return (name.replace("_", " "), _value(figure.value), interval)


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
