"""`graph`: the state of the store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.session import Session, Wait, command


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    graph = typer.Typer(no_args_is_help=True, help="The graph in the store.")
    app.add_typer(graph, name="graph")
    command(graph, "digest")(_digest)
    command(graph, "stats")(_stats)
    command(graph, "rebuild")(_rebuild)
    command(graph, "export-import-files")(_import_files)


def _digest(session: Session, wait: Wait = 10.0) -> None:
    """SHA-256 of the graph: the same rows and keys, the same digest, on either store."""
    from ringwatch.graphs.digest import graph_digest
    from ringwatch.pipeline import open_store

    with closing(open_store(session.workspace(), wait=wait)) as store:
        digest = graph_digest(store)
    session.say("graph_digest", {"digest": digest}, lambda: session.line(digest))


def _stats(session: Session, wait: Wait = 10.0) -> None:
    """How many nodes and edges of each kind."""
    from ringwatch.graphs.schema import EDGES, NODES
    from ringwatch.pipeline import open_store

    workspace = session.workspace()
    with closing(open_store(workspace, wait=wait)) as store:
        counts = store.counts()
    nodes, edges = ({name: counts.get(name, 0) for name in tables} for tables in (NODES, EDGES))
    document = {"store": workspace.config.store, "nodes": nodes, "edges": edges}
    rows = [(name, f"{number:,}") for part in (nodes, edges) for name, number in part.items() if number]
    session.say("graph_stats", document, lambda: session.table(("what", "rows"), rows, right=("rows",)))


def _rebuild(session: Session, wait: Wait = 10.0) -> None:
    """Make the graph anew from the log and the newest run."""
    from ringwatch.pipeline import rebuild

    rebuild(session.workspace(), wait=wait)
    session.say("graph_rebuild", {"rebuilt": True}, lambda: session.line("The graph is made anew."))


def _import_files(
    session: Session, output: Annotated[Path, typer.Option(help="A new folder for the files.")], wait: Wait = 10.0
) -> None:
    """Write files for `neo4j-admin database import full`: the fastest first load of a Neo4j database."""
    from ringwatch.pipeline import export_import_files

    paths, line = export_import_files(session.workspace(), output, wait=wait)
    document = {"files": [str(path) for path in paths], "command": line}
    session.say(
        "import_files", document, lambda: session.line(f"{len(paths)} files in {output}. Load them with:\n{line}")
    )
