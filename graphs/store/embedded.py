"""The embedded store: one Ladybug file, which many processes may read and none writes while it is read.

A writer makes the next generation: a copy of the file with the changes in it (`next_generation`). Rows are written by
COPY, 0.4 to 0.9 million a second, wherever they are new; a property is SET where a node is known, and an edge table
is rewritten as a whole only where more than about one in a hundred of its edges change.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ladybug
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.errors import PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.graphs.schema import EDGES, NODES, TABLES, EdgeTable, NodeTable
from ringwatch.graphs.store.base import Applied, Changes, Result
from ringwatch.graphs.store.frames import conforming, keys, schema_of
from ringwatch.graphs.store.migrations import EMBEDDED_TYPES, META, create_edges, create_nodes, pending
from ringwatch.workspace import fsync_path

READ_POOL = 1 << 30
WRITE_POOL = 3 << 29
"""Bytes that Ladybug may hold in memory; what it does not use it does not take."""
_THREADS = 2
_CHUNK = 1_000_000
_FEW = 500
_OPERATOR = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b(?=\[\d+\])")
_FICLONE = 0x40049409
"""ioctl of Linux: the new file shares the old one's blocks until either is written."""


class EmbeddedStore:
    """The graph in one file. `path` None: an empty graph in memory."""

    name = "embedded"

    def __init__(self, path: Path | None, *, read_only: bool = True) -> None:
        """Opens the file, or makes it where it is not there and `read_only` is false.

        Raises:
            UnavailableError: the file is missing, damaged, or open in another process that writes.
        """
        writes = path is None or not read_only
        try:
            self._database = ladybug.Database(
                path if path is None else str(path), read_only=not writes, max_num_threads=_THREADS,
                buffer_pool_size=WRITE_POOL if writes else READ_POOL,
            )  # fmt: skip
            self._connection = ladybug.Connection(self._database)
        except RuntimeError as error:
            raise UnavailableError(
                f"The graph {path} cannot be opened: {_sentence(error)}",
                hint="Another process may be writing it; else build it anew from the event log.",
            ) from error
        if path is None:
            self.apply_schema()

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()
        self._database.close()

    # -- schema and record ----------------------------------------------------------------------------

    def apply_schema(self) -> list[str]:
        """Brings the schema to `SCHEMA_VERSION`; returns the names of the migrations that it ran."""
        applied = self.applied()
        steps = pending(applied.schema_version)
        for step in steps:
            for statement in step.embedded:
                self._run(statement)
            self._record(Applied(applied.batches, applied.runs, step.version))
        return [step.name for step in steps]

    def applied(self) -> Applied:
        """What is stored."""
        if META not in self._run("CALL show_tables() RETURN name").column(0).to_pylist():
            return Applied()
        rows = self._run(
            f"MATCH (m:{META}) RETURN m.batches AS batches, m.runs AS runs, m.schema_version AS version"
        ).to_pylist()
        if not rows:
            return Applied()
        return Applied(tuple(rows[0]["batches"]), tuple(rows[0]["runs"]), rows[0]["version"])

    def _record(self, applied: Applied) -> None:
        row = pa.table(
            {
                "id": ["store"],
                "batches": pa.array([applied.batches], pa.list_(pa.string())),
                "runs": pa.array([applied.runs], pa.list_(pa.string())),
                "schema_version": [applied.schema_version],
            }
        )
        self._run(f"MATCH (m:{META}) DELETE m")
        self._copy(META, row, row.column_names)

    # -- writing --------------------------------------------------------------------------------------

    def write(self, changes: Changes, applied: Applied) -> None:
        """Upserts nodes, then edges, then records `applied`, in one transaction.

        Raises:
            RingwatchError: a frame does not fit the schema, or an end of an edge is not stored.
            UnavailableError: the file cannot be written.
        """
        nodes, edges = conforming(changes)
        self.apply_schema()
        self._run("BEGIN TRANSACTION")
        try:
            self._replace(changes.replace)
            self._drop_runs(changes.drop_runs)
            for label, frame in nodes.items():
                self._write_nodes(NODES[label], frame)
            for edge_type, frame in edges.items():
                self._write_edges(EDGES[edge_type], frame)
            self._record(Applied(applied.batches, applied.runs, self.applied().schema_version))
        except BaseException:
            with contextlib.suppress(RingwatchError):
                self._run("ROLLBACK")
            raise
        try:
            self._run("COMMIT")
            self._run("CHECKPOINT")
        except RingwatchError as error:
            # The database speaks of a log that it will recover from; nothing names this file yet, and nothing will.
            raise UnavailableError(
                "The graph cannot be written to disk, and nothing was stored.",
                hint="See that the disk has room, and run the command again.",
            ) from error

    def _replace(self, names: tuple[str, ...]) -> None:
        """Empties labels, with all their edges, and edge types."""
        labels = [name for name in names if name in NODES]
        emptied = [edge for edge in EDGES.values() if {edge.type, edge.src, edge.dst} & set(names)]
        for edge in emptied:
            self._run(f"DROP TABLE `{edge.type}`")
        for label in labels:
            self._run(f"DROP TABLE `{label}`")
            self._run(create_nodes(NODES[label]))
        for edge in emptied:
            self._run(create_edges(edge))

    def _drop_runs(self, runs: tuple[str, ...]) -> None:
        if not runs:
            return
        these = {"runs": list(runs)}
        for edge in EDGES.values():
            if "run_id" in edge.columns:
                self._run(f"MATCH (:`{edge.src}`)-[e:`{edge.type}`]->() WHERE e.run_id IN $runs DELETE e", these)
        of_run = self._run("MATCH (c:Cluster)-[:OF_RUN]->(r:Run) RETURN c.id AS c, r.id AS r").to_pylist()
        kept = {row["c"] for row in of_run if row["r"] not in runs}
        gone = {row["c"] for row in of_run} - kept
        self._run("MATCH (c:Cluster) WHERE c.id IN $gone DETACH DELETE c", {"gone": sorted(gone)})
        self._run("MATCH (r:Run) WHERE r.id IN $runs DETACH DELETE r", these)

    def _write_nodes(self, table: NodeTable, frame: pa.Table) -> None:
        if self._count(table):
            known = self._offsets(table, frame.column(table.key)) >= 0
            found = frame.filter(pa.array(known))
            named = [name for name in frame.column_names if name != table.key]
            if named and len(found):
                self._run(
                    f"LOAD FROM $frame MATCH (stored:`{table.label}` {{`{table.key}`: `{table.key}`}}) "
                    f"SET {', '.join(f'stored.`{name}` = `{name}`' for name in named)}",
                    {"frame": found},
                )
            frame = frame.filter(pa.array(~known))
        self._copy(table.label, frame, frame.column_names)

    def _write_edges(self, table: EdgeTable, frame: pa.Table) -> None:
        stored = self._count(table)
        if stored:
            known = self._known(table, frame)
            found = frame.filter(pa.array(known))
            frame = frame.filter(pa.array(~known))
            named = [name for name in found.column_names if name not in keys(table)]
            if not named or not len(found):
                pass
            elif len(found) <= max(_FEW, stored // 100):
                self._set_edges(table, found, named)
            else:
                whole = _merged(self.edges(table.type), found, table, named)
                self._run(f"DROP TABLE `{table.type}`")
                self._run(create_edges(table))
                self._copy(table.type, whole, list(table.columns))
        self._copy(table.type, frame, [name for name in frame.column_names if name not in ("src", "dst")])

    def _set_edges(self, table: EdgeTable, found: pa.Table, named: list[str]) -> None:
        # A join with a frame scans the whole table; a single edge is looked up by its ends, some 3,000 a second.
        where = " AND ".join(f"e.`{key}` = $p_{key}" for key in table.key) or "true"
        sets = ", ".join(f"e.`{name}` = CAST($p_{name} AS {EMBEDDED_TYPES[table.columns[name]]})" for name in named)
        statement = (
            f"MATCH (a:`{table.src}` {{`{NODES[table.src].key}`: $p_src}})-[e:`{table.type}`]->"
            f"(b:`{table.dst}` {{`{NODES[table.dst].key}`: $p_dst}}) WHERE {where} SET {sets}"
        )
        for row in found.rename_columns([f"p_{name}" for name in found.column_names]).to_pylist():
            self._run(statement, row)

    def _copy(self, name: str, frame: pa.Table, columns: list[str]) -> None:
        if len(frame):
            listed = ", ".join(f"`{column}`" for column in columns)
            self._run(f"COPY `{name}`{f'({listed})' if listed else ''} FROM $frame", {"frame": frame})

    def _offsets(self, table: NodeTable, wanted: pa.ChunkedArray[Any]) -> npt.NDArray[np.int64]:
        """Where the nodes with these keys are; −1 for one that is not stored."""
        distinct = pa.table([pc.unique(wanted)], names=["key"])
        found = self._run(
            f"LOAD FROM $frame MATCH (n:`{table.label}` {{`{table.key}`: key}}) RETURN key, offset(id(n)) AS at",
            {"frame": distinct},
        )
        # A last place for what is not found.
        at: npt.NDArray[np.int64] = np.append(found.column("at").to_numpy(), -1).astype(np.int64)
        index: Any = pc.index_in(wanted, found.column("key"))
        places: npt.NDArray[np.int64] = at[index.fill_null(len(at) - 1).to_numpy()]
        return places

    def _known(self, table: EdgeTable, frame: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows of a frame are stored edges."""
        more = "".join(f", e.`{key}` AS `{key}`" for key in table.key)
        stored = self._run(
            f"MATCH (a:`{table.src}`)-[e:`{table.type}`]->(b:`{table.dst}`) "
            f"RETURN offset(id(a)) AS a, offset(id(b)) AS b{more}"
        )
        places: list[Any] = [
            np.arange(len(frame)),
            self._offsets(NODES[table.src], frame.column("src")),
            self._offsets(NODES[table.dst], frame.column("dst")),
            *(frame.column(key) for key in table.key),
        ]
        wanted = pa.table(places, names=["row", "a", "b", *table.key])
        using = ", ".join(f'"{name}"' for name in ("a", "b", *table.key))
        known = np.zeros(len(frame), dtype=bool)
        with _arrow(stored=stored, wanted=wanted) as con:
            known[con.execute(f"SELECT row FROM wanted SEMI JOIN stored USING ({using})").fetchnumpy()["row"]] = True
        return known

    # -- reading --------------------------------------------------------------------------------------

    def nodes(self, label: str) -> pa.Table:
        """All nodes of a label: its key and columns, in no order."""
        table = NODES[label]
        listed = ", ".join(f"n.`{name}` AS `{name}`" for name in (table.key, *table.columns))
        return self._run(f"MATCH (n:`{label}`) RETURN {listed}").cast(schema_of(table))

    def edges(self, edge_type: str) -> pa.Table:
        """All edges of a type: `src`, `dst` and its columns, in no order."""
        table = EDGES[edge_type]
        listed = "".join(f", e.`{name}` AS `{name}`" for name in table.columns)
        # Ends by their place, then keys by place: a join for each end would cost Ladybug three times as much.
        found = self._run(
            f"MATCH (a:`{table.src}`)-[e:`{edge_type}`]->(b:`{table.dst}`) "
            f"RETURN offset(id(a)) AS src, offset(id(b)) AS dst{listed}"
        )
        ends = [
            self._keys_at(NODES[label], found.column(end)) for end, label in (("src", table.src), ("dst", table.dst))
        ]
        columns = [*ends, *(found.column(name) for name in table.columns)]
        return pa.table(columns, names=["src", "dst", *table.columns]).cast(schema_of(table))

    def _keys_at(self, table: NodeTable, places: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
        if not len(places):
            return pa.chunked_array([], pa.string())
        found = self._run(f"MATCH (n:`{table.label}`) RETURN offset(id(n)) AS at, n.`{table.key}` AS key")
        at = found.column("at").to_numpy()
        order = np.full(int(at.max()) + 1, -1)
        order[at] = np.arange(len(at))
        return found.column("key").take(pa.array(order[places.to_numpy()]))

    def counts(self) -> dict[str, int]:
        """Rows by node label and edge type, those of 0 included."""
        if not self.applied().schema_version:
            return dict.fromkeys(TABLES, 0)
        return {name: self._count(table) for name, table in TABLES.items()}

    def _count(self, table: NodeTable | EdgeTable) -> int:
        pattern = (
            f"(x:`{table.label}`)" if isinstance(table, NodeTable) else f"(:`{table.src}`)-[x:`{table.type}`]->()"
        )
        return int(self._run(f"MATCH {pattern} RETURN count(*) AS n").column(0)[0].as_py())

    def query(
        self, cypher: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 1000, timeout: float = 30.0
    ) -> Result:
        """Runs a read-only query; at most `limit` rows, at most `timeout` seconds.

        Raises:
            PolicyError: it took longer, or would write a file that is opened to be read.
            UsageError: it is no statement that Ladybug understands.
        """
        self._connection.set_query_timeout(max(1, int(timeout * 1000)))
        try:
            found = self._connection.execute(cypher, {key: _bare(value) for key, value in (parameters or {}).items()})
            result = found[-1] if isinstance(found, list) else found
            # Closed at once: what is left of it would stay in the buffer pool.
            with contextlib.closing(result):
                rows: list[list[Any]] = []
                while result.has_next() and len(rows) < limit:
                    rows.append([_plain(value) for value in result.get_next()])
                return Result(result.get_column_names(), rows, truncated=result.has_next())
        except RuntimeError as error:
            if str(error).startswith("Interrupted"):
                raise PolicyError(
                    f"The query took longer than {timeout:g} seconds.", hint="Narrow it, or allow it more time."
                ) from error
            if str(error).startswith("Buffer manager exception"):
                raise PolicyError(
                    f"The query took more than {READ_POOL >> 20:,} MB of memory.",
                    hint="Narrow it, or aggregate earlier.",
                ) from error
            if "read-only" in str(error):
                raise PolicyError("The query would write.", hint="Queries only read.") from error
            raise UsageError(f"The query cannot be run: {_sentence(error)}") from error
        finally:
            self._connection.set_query_timeout(0)

    def plan(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[str]:
        """How the store would run a query, its operators from the last to the first. Runs nothing.

        Raises:
            UsageError: it is no statement that Ladybug understands.
        """
        drawn = self.query(f"EXPLAIN {cypher}", parameters).rows
        # A picture of boxes; those of a line run beside each other.
        lines = (_OPERATOR.findall(line) for line in str(drawn[0][0]).splitlines())
        return [", ".join(names) for names in lines if names]

    def _run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        try:
            given = {key: _bare(value) for key, value in (parameters or {}).items()}
            result: Any = self._connection.execute(statement, given)
            table: pa.Table = result.get_as_arrow(_CHUNK)
        except RuntimeError as error:
            raise RingwatchError(
                f"The embedded graph refused a statement: {_sentence(error)}", hint=" ".join(statement.split())[:200]
            ) from error
        return table


def next_generation(old: Path | None, new: Path, changes: Changes, applied: Applied) -> None:
    """Makes the file `new` from `old` (None: from nothing) and the changes; closed and on disk when this returns.

    Until something names `new` it does not exist for anybody, so a kill at any moment leaves `old` as it was.

    Raises:
        UnavailableError: `old` cannot be read, or `new` cannot be written.
        RingwatchError: as `EmbeddedStore.write`.
    """
    try:
        for path in (new, _log(new)):
            path.unlink(missing_ok=True)
        if old is not None:
            _clone(old, new)
        store = EmbeddedStore(new, read_only=False)
        try:
            store.write(changes, applied)
        finally:
            store.close()
        if _log(new).exists():
            raise RingwatchError(f"{_log(new)} is left over: the graph was not checkpointed.")
        fsync_path(new)
        fsync_path(new.parent)
    except OSError as error:
        raise UnavailableError(f"The graph {new} cannot be written: {error.strerror}.") from error


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _clone(old: Path, new: Path) -> None:
    with old.open("rb") as source, new.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            # The file system has no clones: the bytes are copied, some 600 MB a second.
            shutil.copyfileobj(source, target, 1 << 22)


def _merged(stored: pa.Table, found: pa.Table, table: EdgeTable, named: list[str]) -> pa.Table:
    """All of `stored`, with the named properties of `found` where that has the same edge."""
    using = ", ".join(f'"{key}"' for key in keys(table))
    listed = ", ".join(
        f'CASE WHEN f.hit THEN f."{name}" ELSE s."{name}" END AS "{name}"'
        if name in named
        else f's."{name}" AS "{name}"'
        for name in schema_of(table).names
    )
    with _arrow(s=stored, found=found) as con:
        whole: pa.Table = con.sql(
            f"SELECT {listed} FROM s LEFT JOIN (SELECT *, true AS hit FROM found) f USING ({using})"
        ).to_arrow_table()
    return whole.cast(schema_of(table))


@contextlib.contextmanager
def _arrow(**frames: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": _THREADS}) as con:
        con.execute("SET TimeZone = 'UTC'")
        for name, frame in frames.items():
            con.register(name, frame)
        yield con


def _bare(value: Any) -> Any:
    """A time as Ladybug's TIMESTAMP, which is UTC without saying so."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return value


def _plain(value: Any) -> Any:
    """A value of a result: times with UTC, nodes and edges as their properties."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, Decimal):
        return int(value)  # a sum of integers has 128 bits
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in ("_ID", "_LABEL", "_SRC", "_DST")}
    return value


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if text.endswith(".") else f"{text}."
