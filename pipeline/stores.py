"""The one place that keeps the log and the graph database in step (docs/adr/0001).

The database holds the projection of the committed batches and the newest run, nothing else; it can always be made
again from the log. The embedded one changes by a new generation that the commit names; Neo4j is written after the
commit and records what it holds, so that whoever finds it behind brings it forward.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.config import Config
from ringwatch.errors import PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.graphs.schema import EDGES, NODES, SCHEMA_VERSION
from ringwatch.graphs.store import Applied, Changes, EmbeddedStore, GraphStore, next_generation
from ringwatch.ingest import EventLog
from ringwatch.ingest.contract import TABLE_NAMES
from ringwatch.ingest.engine import connect
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import SPILL, Current, Workspace, writes_to

if TYPE_CHECKING:
    from ringwatch.graphs.store import Neo4jStore

EVIDENCE = tuple(name for tables in (NODES, EDGES) for name, table in tables.items() if table.evidence)
INFERRED = tuple(name for tables in (NODES, EDGES) for name, table in tables.items() if not table.evidence)
"""Names of the tables that come from the log, and of those that a run makes."""

EVERYTHING = (*EVIDENCE, *INFERRED)

GRAPH_FOLDER = "graph"
_OPEN_TRIES = 5


@contextmanager
def log_connection(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection bounded by the workspace's memory; what it spills goes to the staging folder. Within it, as
    within `Workspace.reading`, the log stays as it is committed."""
    spill = workspace.staging_dir / f"{SPILL}{secrets.token_hex(4)}"
    with workspace.reading(), closing(connect(workspace.config.memory_mb, spill)) as con:
        # Without it, what was ordered reaches Arrow in any order.
        con.execute("SET preserve_insertion_order = true")
        yield con


def applied_by(current: Current) -> Applied:
    """What a store that is in step with `current` holds."""
    return Applied(current.batches, current.runs[-1:], SCHEMA_VERSION)


# -- reading ---------------------------------------------------------------------------------------------------------


def open_store(workspace: Workspace, *, wait: float = 10.0) -> GraphStore:
    """The graph as committed, to be read and closed.

    Raises:
        UnavailableError: the store cannot be reached, or lags and another process writes for longer than `wait`.
        PolicyError: the Neo4j database belongs to another workspace.
    """
    if workspace.config.store == "embedded":
        return _open_generation(workspace)
    store = connect_neo4j(workspace.config, workspace.current())
    try:
        if store.applied() != applied_by(workspace.current()):
            with writer(workspace, wait=wait):
                bring_forward(workspace, workspace.current(), store)
    except BaseException:
        store.close()
        raise
    return store


def _open_generation(workspace: Workspace) -> EmbeddedStore:
    # A writer may commit and the next one sweep between our look at CURRENT and the opening.
    for _ in range(_OPEN_TRIES):
        path = generation_path(workspace, workspace.current())
        try:
            return EmbeddedStore(path)
        except RingwatchError:
            if generation_path(workspace, workspace.current()) == path:
                raise
    raise UnavailableError(f"The store of {workspace.root} changes too often to be opened.", hint="Run it again.")


def generation_path(workspace: Workspace, current: Current) -> Path:
    """The embedded database that `current` names.

    Raises:
        RingwatchError: it is not there.
    """
    path = workspace.store_dir / (current.generation or "none")
    if not path.exists():
        raise RingwatchError(
            f"The graph of {workspace.root} is missing ({path.name}).",
            hint="Make it again: `ringwatch graph rebuild`.",
        )
    return path


def connect_neo4j(config: Config, current: Current) -> Neo4jStore:
    """Connects with the user, password and database of the environment.

    Raises:
        UnavailableError: the server cannot be reached or refuses the login.
        PolicyError: its database holds something else than this workspace's graph.
    """
    from ringwatch.graphs.store import Neo4jStore  # whoever asks the embedded store does not wait for its driver

    return Neo4jStore(
        config.neo4j_uri or "",
        workspace_id=current.workspace_id,
        user=os.environ.get("NEO4J_USER", "neo4j"),
        password=os.environ.get("NEO4J_PASSWORD", "neo4j"),
        database=os.environ.get("NEO4J_DATABASE", "neo4j"),
    )


# -- writing ---------------------------------------------------------------------------------------------------------


class GraphWriter:
    """Commits a change of the log or of the runs together with the graph. Used inside the writer's lock."""

    def __init__(self, workspace: Workspace, store: Neo4jStore | None) -> None:
        self._workspace = workspace
        self._store = store

    def commit(self, current: Current, *steps: Changes) -> None:
        """Makes `current` what is committed, and the steps, in their order, a part of the graph.

        Raises:
            UnavailableError: Neo4j was lost on the way. What was committed stays so, and the next command that needs
                the graph brings the server forward.
        """
        if self._store is None:
            self._workspace.commit(current.with_(generation=self._generation(current, steps)))
            return
        if set(steps[0].replace) >= set(EVERYTHING):
            # Of what is replaced nothing counts as held, whenever the server is lost.
            self._store.write(Changes(), Applied())
        self._workspace.commit(current)
        due = applied_by(current)
        try:
            for changes in steps[:-1]:
                self._store.write(changes, replace(due, runs=()))
            self._store.write(steps[-1], due)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error.message.rstrip('.')}, after the work was committed; the server lags behind.",
                hint="Run any command that reads the graph when the server is back: it brings it forward.",
            ) from error

    def _generation(self, current: Current, steps: tuple[Changes, ...]) -> str:
        folder, before = self._workspace.store_dir, self._workspace.current().generation
        for changes in steps:
            name = f"g-{secrets.token_hex(6)}"
            # Where all is replaced, what there was may be missing or damaged.
            old = folder / before if before and set(changes.replace) < set(EVERYTHING) else None
            next_generation(old, folder / name, changes, applied_by(current))
            before = name
        return before or ""


@contextmanager
def graph_writer(workspace: Workspace, current: Current) -> Iterator[GraphWriter]:
    """Connects before any work is done, so that a store that cannot be reached costs nothing.

    Raises:
        UnavailableError, PolicyError: as `connect_neo4j`.
    """
    if workspace.config.store == "embedded":
        yield GraphWriter(workspace, None)
        return
    with closing(connect_neo4j(workspace.config, current)) as store:
        bring_forward(workspace, current, store)
        yield GraphWriter(workspace, store)


def bring_forward(workspace: Workspace, current: Current, store: GraphStore) -> None:
    """Writes what `current` names and the store lacks. Inside the writer's lock.

    Raises:
        PolicyError: the store holds batches that the workspace does not know.
    """
    held, due = store.applied(), applied_by(current)
    if held.schema_version != SCHEMA_VERSION:
        store.apply_schema()
    unknown = set(held.batches) - set(current.batches)
    if unknown:
        raise PolicyError(
            f"The database holds batches that {workspace.root} does not have: {', '.join(sorted(unknown)[:3])}.",
            hint="Name the workspace that wrote it, or give this one an empty database.",
        )
    if held.batches != due.batches:
        changes = log_changes(workspace, current, held.batches)
        if not held.batches:
            changes = replace(changes, replace=EVERYTHING)
        store.write(changes, Applied(due.batches, held.runs, SCHEMA_VERSION))
    if held.runs != due.runs:
        store.write(run_changes(workspace, current), due)


# -- what to write ---------------------------------------------------------------------------------------------------


def log_changes(workspace: Workspace, current: Current, held: tuple[str, ...]) -> Changes:
    """Frames of the evidence graph for the batches of `current` that are not in `held`."""
    from ringwatch.graphs.projection import evidence_changes

    log = EventLog(workspace, current)
    with log_connection(workspace) as con:
        log.attach(con)
        fresh = None
        if held:
            fresh = "fresh"
            con.execute("CREATE SCHEMA fresh")
            missing = [batch for batch in current.batches if batch not in held]
            for table in (*TABLE_NAMES, "tokens"):
                con.execute(f"CREATE VIEW fresh.{table} AS SELECT * FROM {log.relation(table, missing)}")
            con.execute(f"CREATE VIEW fresh.held_accounts AS SELECT * FROM {log.relation('accounts', held)}")
        return evidence_changes(con, workspace.config.all_entity_types, fresh=fresh)


def save_changes(changes: Changes, folder: Path) -> None:
    """Keeps the frames of a run as Parquet, so that a store which lags can be given them again."""
    folder.mkdir()
    for kind, frames in (("nodes", changes.nodes), ("edges", changes.edges)):
        for name, frame in frames.items():
            pq.write_table(frame, folder / f"{kind}-{name}.parquet", compression="zstd")


def run_changes(workspace: Workspace, current: Current) -> Changes:
    """The frames of the newest run, in the place of those of any other; none where there is no run."""
    nodes: dict[str, pa.Table] = {}
    edges: dict[str, pa.Table] = {}
    for run in current.runs[-1:]:
        for path in sorted((workspace.runs_dir / run / GRAPH_FOLDER).glob("*.parquet")):
            kind, _, name = path.stem.partition("-")
            (nodes if kind == "nodes" else edges)[name] = pq.read_table(path)
    return Changes(nodes, edges, replace=INFERRED)


def export_import_files(workspace: Workspace, folder: Path, *, wait: float = 10.0) -> tuple[list[Path], str]:
    """Writes the graph as files for `neo4j-admin database import full`; the paths, and the command that loads them.

    The database that they make is this workspace's: with `store = "neo4j"` in its settings it goes on there.

    Raises:
        UsageError: `folder` is there already, or cannot be written.
        UnavailableError, PolicyError: as `open_store`.
    """
    from ringwatch.graphs.store import write_import_files

    if folder.exists():
        raise UsageError(f"{folder} is there already.", hint="Name a new folder.")
    with closing(open_store(workspace, wait=wait)) as store:
        whole = Changes({label: store.nodes(label) for label in NODES}, {name: store.edges(name) for name in EDGES})
        with writes_to(folder):
            return write_import_files(whole, store.applied(), folder, workspace.current().workspace_id)
