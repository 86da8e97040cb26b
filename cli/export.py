"""`export`: the suspect network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.listing import OfRun
from ringwatch.cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "export")(_export)


def _export(
    session: Session,
    clusters: Annotated[list[str], typer.Argument(help="Ids of clusters of one run.")],
    output: Annotated[Path, typer.Option(help="A folder for csv and parquet, a file otherwise.")],
    fmt: Annotated[
        str, typer.Option("--format", help="csv, parquet, json, graphml, gexf, stix, misp, cypher or html.")
    ] = "json",
    run: OfRun = None,
) -> None:
    """Write clusters as a network; the same clusters, the same bytes."""
    from ringwatch.export import find_format, write_clusters
    from ringwatch.pipeline import load_cluster, load_run

    find_format(fmt)
    workspace = session.workspace()
    found = load_run(workspace, run)
    report = write_clusters([load_cluster(workspace, name, found) for name in clusters], fmt, output)
    rows = [(str(path), digest) for path, digest in report.files]
    session.say("export", report.document(), lambda: session.table(("file", "sha256"), rows))
