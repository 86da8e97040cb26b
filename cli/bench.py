"""`bench`: models beside each other on an attributed graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.models import Device, Models, names_of
from ringwatch.cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "bench")(_bench)


def _bench(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="nodes.parquet and edges-RELATION.parquet.")],
    models: Models = None,
    seeds: Annotated[int, typer.Option(help="Runs that mean and sd are over.", min=1)] = 3,
    device: Device = "cpu",
) -> None:
    """Hold baselines and graph neural networks to the test split of a graph with labelled nodes."""
    from ringwatch.gnn.bench import FIGURES, load_benchmark, run_bench
    from ringwatch.gnn.models.torch_here import pick_device

    device, watch = pick_device(device), session.watch()
    with watch.stage("read"):
        benchmark = load_benchmark(folder)
    found = run_bench(benchmark, models=names_of(models), seeds=seeds, device=device, watch=watch)
    document = {
        "models": found,
        "seeds": seeds,
        "device": device,
        "stages": watch.stages,
        "nodes": len(benchmark.graph),
        "relations": [one.name for one in benchmark.graph.relations],
        "split": {name: int(rows.sum()) for name, rows in benchmark.split.items()},
    }

    def show() -> None:
        rows = [
            (name, *(f"{figures[one]['mean']:.3f} ± {figures[one]['sd']:.3f}" for one in FIGURES))
            for name, figures in found.items()
        ]
        session.table(("model", *(one.replace("_", " ") for one in FIGURES)), rows)

    session.say("bench", document, show)
