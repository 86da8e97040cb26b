"""`evasion`: what is still found as operators hide more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cells import number
from ringwatch.cli.session import Session, command
from ringwatch.errors import UsageError
from ringwatch.workspace import write_file


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "evasion")(_evasion)


def _evasion(
    session: Session,
    output: Annotated[Path, typer.Option(help="A new folder for the curves: a table, a document, a plot a knob.")],
    knobs: Annotated[str, typer.Option(help="Which tactics, like hidden,cell; all of them.")] = "",
    seeds: Annotated[int, typer.Option(help="How many worlds at each level.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="The first of their seeds.", min=0)] = 1,
    accounts: Annotated[int | None, typer.Option(help="Accounts of a world.", min=1)] = None,
) -> None:
    """Simulate worlds that hide more and more, one tactic at a time, and measure what is found in each."""
    from ringwatch.evaluation.evasion import KNOBS, PEER, evade, evasion_charts

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already and is not empty.", hint="Name a new folder.")
    chosen = [knob.strip() for knob in knobs.split(",") if knob.strip()] or list(KNOBS)
    found = evade(chosen, output, seeds=range(seed, seed + seeds), accounts=accounts, watch=session.watch())
    for name, rows in (("worlds", found.rows()), ("curves", found.curves())):
        write_file(output / f"{name}.csv", rows.to_csv(index=False, float_format="%.6g").encode())
    write_file(output / "curves.json", (json.dumps(found.document(), indent=1) + "\n").encode())
    for knob, chart in evasion_charts(found):
        write_file(output / f"{knob}.svg", chart.encode())

    def show() -> None:
        columns = ("level", "attainable", "recovery / attainable", "precision at k", f"{PEER}: recovery", "precision")
        for knob, rows in found.curves().groupby("knob", sort=False):
            session.line()
            named = ("attainable", "ours_ratio", "ours_precision_at_k", "peer_ratio", "peer_precision_at_k")
            cells = [
                (f"{row['level']:g}", *(number(None if row[name] != row[name] else row[name]) for name in named))
                for row in rows.to_dict("records")
            ]
            session.table((str(knob), *columns[1:]), cells, right=columns[1:])

    session.say("evasion", {"output": str(output), **found.document()}, show)
