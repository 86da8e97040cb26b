"""`replay`: how soon each operation would have been found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cells import interval, number
from ringwatch.cli.session import Plot, Session, command
from ringwatch.workspace import write_file


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "replay")(_replay)


def _replay(
    session: Session,
    labels: Annotated[Path, typer.Option(help="A labels table: the operations, and who is in them.")],
    every: Annotated[str, typer.Option(help="From one moment to the next: 12h, 7d, 2w.")] = "7d",
    begin: Annotated[str | None, typer.Option("--from", help="The first moment; the first event and a step.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last moment; the last event, if earlier.")] = None,
    k: Annotated[int | None, typer.Option(help="Clusters looked at; as many as groups begun.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same runs.", min=0)] = 0,
    plot: Plot = None,
) -> None:
    """Detect as of one moment after another, and say when each operation was first found. Commits nothing."""
    from ringwatch.clock import parse_span, parse_time
    from ringwatch.evaluation import delay_chart, replay

    found = replay(
        session.workspace(), labels, every=parse_span(every), begin=parse_time(begin) if begin else None,
        end=parse_time(end) if end else None, k=k, seed=seed, watch=session.watch(),
    )  # fmt: skip
    if plot:
        write_file(plot, delay_chart(found).encode())

    def show() -> None:
        rows = [
            (
                f"{one.as_of:%Y-%m-%d %H:%M}", f"{one.accounts:,}", one.groups, one.found, number(one.recovery),
                number(one.precision_at_k),
            )
            for one in found.moments
        ]  # fmt: skip
        columns = ("as of", "accounts", "groups", "found", "recovery", "precision at k")
        session.table(columns, rows, right=columns[1:])
        session.line()
        operations = [
            (
                one.group_id, one.kind, one.size, f"{one.first_event:%Y-%m-%d}", number(one.days_to_flagged, 1),
                number(one.days_to_found, 1), f"{one.harmful_before:,} of {one.harmful:,}",
            )
            for one in found.operations
        ]  # fmt: skip
        names = ("operation", "kind", "accounts", "first event", "days to flag", "days to find", "harm before")
        session.table(names, operations, right=("accounts", *names[4:]))
        session.line()
        delays = [
            (name.replace("_", " "), *(number(one.value, 1) for one in quantiles.values()))
            for name, quantiles in found.delays.items()
        ]
        shares = [f"{at:.0%}" for at in next(iter(found.delays.values()))]
        session.table(("quantiles", *shares), delays, right=shares)
        session.line()
        said = [(name.replace("_", " "), *interval(one)) for name, one in found.shares.items()]
        session.table(("share", "", "95 %"), said, right=("",))

    for warning in found.warnings:
        typer.echo(f"ringwatch: {warning}", err=True)
    session.say("replay", found.document(), show)
