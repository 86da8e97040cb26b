"""The team's store: a Neo4j 5.26 or later, over Bolt.

Changes go in chunks that can be repeated: MERGE on the keys, or CREATE into a label or edge type that is empty. Every
chunk's transaction first locks the node that says what the store holds and finds its own writer's name there. So a
chunk of a writer that died is in before the next writer looks what is empty, or never.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any, TypeVar

import neo4j
import pyarrow as pa
import pyarrow.compute as pc
from neo4j.exceptions import AuthError, ClientError, ConfigurationError, DriverError, Neo4jError
from neo4j.graph import Entity, Path
from neo4j.time import DateTime

from ringwatch.errors import BusyError, PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.graphs.schema import EDGES, NODES, TABLES, EdgeTable, NodeTable
from ringwatch.graphs.store.base import Applied, Changes, Result
from ringwatch.graphs.store.frames import TIME, conforming, keys, schema_of
from ringwatch.graphs.store.migrations import META, pending

T = TypeVar("T")

# What the driver says of retries is for whoever configures logging, not for everybody's stderr.
logging.getLogger("neo4j").addHandler(logging.NullHandler())

_CHUNK = 2_500
"""Rows a transaction: 10,000 took the server a third longer a row, in garbage."""
_PAGE = 20_000
_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_CONNECT_SECONDS = 5.0
_CHUNK_SECONDS = 600.0
_RETRY_SECONDS = 30.0


class Neo4jStore:
    """The graph of one workspace in one database of a server."""

    name = "neo4j"

    def __init__(self, uri: str, *, workspace_id: str, user: str, password: str, database: str = "neo4j") -> None:
        """Connects, and looks whose database it is.

        Raises:
            UnavailableError: the server cannot be reached, or refuses the login.
            PolicyError: the database is not empty and not this workspace's.
        """
        self._uri, self._workspace_id = uri, workspace_id
        self._writer = secrets.token_hex(8)
        if uri.partition("://")[0] not in _SCHEMES:
            raise UnavailableError(
                f"'{uri}' is no address of a Neo4j server.",
                hint="Write it like bolt://127.0.0.1:7687 or neo4j+s://HOST.",
            )
        with self._door():
            self._driver = neo4j.GraphDatabase.driver(
                uri, auth=(user, password), connection_timeout=_CONNECT_SECONDS,
                max_transaction_retry_time=_RETRY_SECONDS, notifications_min_severity="OFF",
            )  # fmt: skip
        self._database = database
        try:
            with self._door():
                # At once and once: a server that is not there is not waited for.
                self._driver.verify_connectivity()
            self._refuse_foreign()
        except BaseException:
            self._driver.close()
            raise

    def close(self) -> None:
        """Lets go of the connections."""
        self._driver.close()

    def _refuse_foreign(self) -> None:
        # Held by MERGE on a unique key, there is at most one such node.
        owner = self._read(f"OPTIONAL MATCH (m:{META}) RETURN m.workspace_id AS owner")[0]["owner"]
        if owner is None and not self._read("MATCH (n) RETURN 1 AS one LIMIT 1"):
            return
        if owner != self._workspace_id:
            whose = f"of workspace {owner}" if owner else "not ringwatch's"
            raise PolicyError(
                f"The database '{self._database}' at {self._uri} is not empty and {whose}.",
                hint="Give this workspace an empty database of its own.",
            )

    # -- schema and record ----------------------------------------------------------------------------

    def apply_schema(self) -> list[str]:
        """Brings the schema to `SCHEMA_VERSION`; returns the names of the migrations that it ran."""
        steps = pending(self.applied().schema_version)
        for step in steps:
            for statement in step.neo4j:
                with self._door(), self._session() as session:
                    session.run(statement).consume()
            self._claim()
            held = self.applied()
            self._record(Applied(held.batches, held.runs, step.version))
        if steps:
            with self._door(), self._session() as session:
                session.run("CALL db.awaitIndexes(600)").consume()
        return [step.name for step in steps]

    def applied(self) -> Applied:
        """What is stored."""
        rows = self._read(
            f"MATCH (m:{META}) RETURN m.batches AS batches, m.runs AS runs, m.schema_version AS version"
        )
        if not rows or rows[0]["version"] is None:
            return Applied()
        return Applied(tuple(rows[0]["batches"] or ()), tuple(rows[0]["runs"] or ()), rows[0]["version"])

    def _claim(self) -> None:
        """Names this object as the one that writes; waits for a chunk that another is writing at this moment."""

        def work(tx: neo4j.ManagedTransaction) -> None:
            tx.run(
                f"MERGE (m:{META} {{id: 'store'}}) ON CREATE SET m.workspace_id = $workspace SET m.writer = $writer",
                workspace=self._workspace_id, writer=self._writer,
            ).consume()  # fmt: skip

        with self._door(), self._session() as session:
            session.execute_write(work)
        self._refuse_foreign()

    def _record(self, applied: Applied) -> None:
        def work(tx: neo4j.ManagedTransaction) -> None:
            tx.run(
                f"MATCH (m:{META}) SET m.batches = $batches, m.runs = $runs, m.schema_version = $version",
                batches=list(applied.batches), runs=list(applied.runs), version=applied.schema_version,
            ).consume()  # fmt: skip

        self._write(work)

    # -- writing --------------------------------------------------------------------------------------

    def write(self, changes: Changes, applied: Applied) -> None:
        """Upserts nodes, then edges, in chunks, then records `applied`; repeated, it completes what was interrupted.

        Raises:
            UnavailableError: the server was lost on the way.
            BusyError: another process began to write.
            RingwatchError: a frame does not fit the schema, or an end of an edge is not stored.
        """
        nodes, edges = conforming(changes)
        self.apply_schema()
        self._claim()
        self._replace(changes.replace)
        self._drop_runs(changes.drop_runs)
        for label, frame in nodes.items():
            self._upsert(NODES[label], frame)
        for edge_type, frame in edges.items():
            self._upsert(EDGES[edge_type], frame)
        self._record(Applied(applied.batches, applied.runs, self.applied().schema_version))

    def _replace(self, names: tuple[str, ...]) -> None:
        for edge in EDGES.values():
            if {edge.type, edge.src, edge.dst} & set(names):
                self._delete(f"MATCH ()-[x:`{edge.type}`]->()")
        for name in names:
            if name in NODES:
                self._delete(f"MATCH (x:`{name}`)")

    def _drop_runs(self, runs: tuple[str, ...]) -> None:
        if not runs:
            return
        these = {"runs": list(runs)}
        for edge in EDGES.values():
            if "run_id" in edge.columns:
                self._delete(f"MATCH ()-[x:`{edge.type}`]->() WHERE x.run_id IN $runs", these)
        # The runs go last: they are what leads to their clusters when this is repeated.
        self._delete(
            "MATCH (x:Cluster)-[:OF_RUN]->(r:Run) WHERE r.id IN $runs "
            "AND NOT EXISTS { MATCH (x)-[:OF_RUN]->(other:Run) WHERE NOT other.id IN $runs } WITH DISTINCT x",
            these,
        )
        self._delete("MATCH (x:Run) WHERE x.id IN $runs", these)

    def _delete(self, match: str, parameters: Mapping[str, Any] | None = None) -> None:
        word = "DETACH DELETE" if match.startswith("MATCH (x") else "DELETE"
        statement = f"{match} WITH x LIMIT {_CHUNK} {word} x RETURN count(*) AS n"
        while self._write(lambda tx: _single(tx, statement, parameters or {})):
            pass

    def _upsert(self, table: NodeTable | EdgeTable, frame: pa.Table) -> None:
        statement = upsert_statement(table, frame.column_names, empty=not self._count(table))
        for start in range(0, len(frame), _CHUNK):
            chunk = parameters_of(frame.slice(start, _CHUNK))

            def work(tx: neo4j.ManagedTransaction, chunk: dict[str, Any] = chunk) -> None:
                if _single(tx, statement, chunk) != chunk["rows"]:
                    name = table.label if isinstance(table, NodeTable) else table.type
                    raise RingwatchError(f"An end of an edge {name} is not stored.")

            self._write(work)

    def _write(self, work: Callable[[neo4j.ManagedTransaction], T]) -> T:
        """`work` in a transaction of its own that holds the lock of the writer; again after a transient failure."""

        def guarded(tx: neo4j.ManagedTransaction) -> T:
            found = tx.run(f"MATCH (m:{META} {{id: 'store'}}) SET m.locked = true RETURN m.writer AS writer").single()
            if found is None or found["writer"] != self._writer:
                raise BusyError(
                    f"Another process began to write to the database '{self._database}'.", hint="Run it again."
                )
            return work(tx)

        with self._door(), self._session() as session:
            # The time limit frees the lock of a writer whose network broke; one that is killed frees it at once.
            return session.execute_write(neo4j.unit_of_work(timeout=_CHUNK_SECONDS)(guarded))

    # -- reading --------------------------------------------------------------------------------------

    def nodes(self, label: str) -> pa.Table:
        """All nodes of a label: its key and columns, in no order."""
        table = NODES[label]
        listed = _columns(table, [f"[n IN page | n.`{table.key}`] AS `{table.key}`"], "page")
        return self._pages(table, table, f"RETURN page[-1].`{table.key}` AS `_last`, size(page) AS `_size`, {listed}")

    def edges(self, edge_type: str) -> pa.Table:
        """All edges of a type: `src`, `dst` and its columns, in no order."""
        table = EDGES[edge_type]
        if not self._count(table):
            return schema_of(table).empty_table()
        source, target = NODES[table.src], NODES[table.dst]
        listed = _columns(table, ["src", "dst"], "found")
        return self._pages(
            table,
            source,
            f"CALL (page) {{ UNWIND page AS a MATCH (a)-[e:`{edge_type}`]->(b:`{target.label}`) "
            f"RETURN collect(a.`{source.key}`) AS src, collect(b.`{target.key}`) AS dst, collect(e) AS found }} "
            f"RETURN page[-1].`{source.key}` AS `_last`, size(page) AS `_size`, {listed}",
        )

    def _pages(self, table: NodeTable | EdgeTable, over: NodeTable, tail: str) -> pa.Table:
        """Pages of a table in the order of the keys of `over`, each as lists that the server collected: some ten
        times as fast as row by row."""
        pages = [schema_of(table).empty_table()]
        sign, after, more = ">=", "", True
        while more:
            row = self._read(
                f"MATCH (n:`{over.label}`) WHERE n.`{over.key}` {sign} $after WITH n ORDER BY n.`{over.key}` "
                f"LIMIT {_PAGE} WITH collect(n) AS page {tail}",
                {"after": after},
            )[0]
            pages.append(_page(table, row))
            sign, after, more = ">", row["_last"], row["_size"] == _PAGE
        return pa.concat_tables(pages)

    def counts(self) -> dict[str, int]:
        """Rows by node label and edge type, those of 0 included."""
        return {name: self._count(table) for name, table in TABLES.items()}

    def _count(self, table: NodeTable | EdgeTable) -> int:
        # Both are read off the server's own counters.
        pattern = f"(x:`{table.label}`)" if isinstance(table, NodeTable) else f"()-[x:`{table.type}`]->()"
        return int(self._read(f"MATCH {pattern} RETURN count(x) AS n")[0]["n"])

    def query(
        self, cypher: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 1000, timeout: float = 30.0
    ) -> Result:
        """Runs a read-only query; at most `limit` rows, at most `timeout` seconds.

        Raises:
            PolicyError: it took longer, or would write.
            UsageError: it is no statement that the server understands.
        """
        try:
            with self._session(neo4j.READ_ACCESS) as session, session.begin_transaction(timeout=timeout) as tx:
                found = tx.run(cypher, dict(parameters or {}))
                columns = list(found.keys())
                rows = [[_plain(value) for value in record.values()] for record in found.fetch(limit + 1)]
        except ClientError as error:
            code = error.code or ""
            if "TransactionTimedOut" in code or code.endswith("Terminated"):
                raise PolicyError(
                    f"The query took longer than {timeout:g} seconds.", hint="Narrow it, or allow it more time."
                ) from error
            if code.endswith("AccessMode"):
                raise PolicyError("The query would write.", hint="Queries only read.") from error
            if ".Statement." in code:
                raise UsageError(f"The query cannot be run: {_sentence(error)}") from error
            raise self._unavailable(error) from error
        except (DriverError, Neo4jError, OSError, ConfigurationError) as error:
            if isinstance(error, Neo4jError) and "Memory" in (error.code or ""):
                raise PolicyError(
                    "The query took more memory than the server allows one.", hint="Narrow it, or aggregate earlier."
                ) from error
            raise self._unavailable(error) from error
        return Result(columns, rows[:limit], truncated=len(rows) > limit)

    def plan(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[str]:
        """How the server would run a query, an operator a line; what is indented feeds the line above. Runs nothing.

        Raises:
            UnavailableError: the server cannot be reached.
            RingwatchError: it is no statement that Neo4j understands.
        """
        with self._door(), self._session(neo4j.READ_ACCESS) as session:
            found = session.run(f"EXPLAIN {cypher}", dict(parameters or {})).consume().plan
        return _operators(found or {}, 0)

    # -- the server -----------------------------------------------------------------------------------

    def _session(self, access: str = neo4j.WRITE_ACCESS) -> neo4j.Session:
        return self._driver.session(database=self._database, default_access_mode=access)

    def _read(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[neo4j.Record]:
        with self._door(), self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(lambda tx: list(tx.run(statement, dict(parameters or {}))))

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        try:
            yield
        except (DriverError, Neo4jError, OSError, ConfigurationError) as error:
            if isinstance(error, ClientError) and ".Statement." in (error.code or ""):
                raise RingwatchError(f"Neo4j refused a statement: {_sentence(error)}") from error
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> UnavailableError:
        if isinstance(error, AuthError):
            return UnavailableError(
                f"Neo4j at {self._uri} refuses the login.", hint="Set NEO4J_USER and NEO4J_PASSWORD."
            )
        return UnavailableError(
            f"Neo4j at {self._uri} cannot be used: {_sentence(error)}",
            hint="Is the server running, and the URI right?",
        )


def upsert_statement(table: NodeTable | EdgeTable, columns: list[str], *, empty: bool) -> str:
    """Writes the lists of `parameters_of` and returns how many rows found their place. `empty`: nothing of the table
    is stored, so that nothing can be met."""
    word = "CREATE" if empty else "MERGE"
    identity = ", ".join(f"`{name}`: {_value(table, name)}" for name in keys(table) if name in table.columns)
    if isinstance(table, NodeTable):
        match, pattern = "", f"(x:`{table.label}` {{`{table.key}`: ${table.key}[i]}})"
    else:
        match = "".join(
            f" MATCH ({end}:`{label}` {{`{NODES[label].key}`: ${end}[i]}})"
            for end, label in (("src", table.src), ("dst", table.dst))
        )
        pattern = (
            f"(src)-[x:`{table.type}` {{{identity}}}]->(dst)" if identity else f"(src)-[x:`{table.type}`]->(dst)"
        )
    sets = ", ".join(f"x.`{name}` = {_value(table, name)}" for name in columns if name not in keys(table))
    then = f" SET {sets}" if sets else ""
    return f"UNWIND range(0, $rows - 1) AS i{match} {word} {pattern}{then} RETURN count(*) AS n"


def _value(table: NodeTable | EdgeTable, name: str) -> str:
    if table.columns[name] == "time":
        return f"CASE WHEN ${name}_s[i] IS NOT NULL THEN datetime.fromepoch(${name}_s[i], ${name}_n[i]) END"
    return f"${name}[i]"


def parameters_of(frame: pa.Table) -> dict[str, Any]:
    """A list a column, and `rows`. A time goes as seconds and nanoseconds: a date object costs five times as much."""
    lists: dict[str, Any] = {"rows": len(frame)}
    for name in frame.column_names:
        column = frame.column(name)
        if column.type == TIME:
            micros = column.cast(pa.int64())
            seconds = pc.floor(pc.divide(micros.cast(pa.float64()), 1e6)).cast(pa.int64())
            rest = pc.multiply(pc.subtract(micros, pc.multiply(seconds, 1_000_000)), 1000)
            lists |= {f"{name}_s": seconds.to_pylist(), f"{name}_n": rest.to_pylist()}
        else:
            lists[name] = column.to_pylist()
    return lists


def _columns(table: NodeTable | EdgeTable, first: list[str], things: str) -> str:
    """RETURN items: a list a column, with its nulls, of the nodes or edges in the list `things`."""
    listed = list(first)
    for name, kind in table.columns.items():
        if kind == "time":
            listed += [f"[x IN {things} | x.`{name}`.epochMillis] AS `{name}_m`"]
            listed += [f"[x IN {things} | x.`{name}`.microsecond] AS `{name}_u`"]
        else:
            listed += [f"[x IN {things} | x.`{name}`] AS `{name}`"]
    return ", ".join(listed)


def _page(table: NodeTable | EdgeTable, row: neo4j.Record) -> pa.Table:
    columns = []
    for field in schema_of(table):
        if field.type == TIME:
            # Its epochSeconds are rounded towards 0, wrong before 1970; its epochMillis are not.
            millis, micros = (pa.array(row[f"{field.name}_{part}"], pa.int64()) for part in "mu")
            within = pc.subtract(micros, pc.multiply(pc.divide(micros, 1000), 1000))
            columns.append(pc.add(pc.multiply(millis, 1000), within).cast(TIME))
        else:
            columns.append(pa.array(row[field.name], field.type))
    return pa.table(columns, schema=schema_of(table))


def _single(tx: neo4j.ManagedTransaction, statement: str, parameters: Mapping[str, Any]) -> int:
    found = tx.run(statement, dict(parameters)).single(strict=True)
    return int(found["n"])


def _operators(plan: Mapping[str, Any], depth: int) -> list[str]:
    name = str(plan.get("operatorType", "")).partition("@")[0]
    lines = [f"{'  ' * depth}{name}"] if name else []
    return lines + [line for child in plan.get("children", []) for line in _operators(child, depth + 1)]


def _plain(value: Any) -> Any:
    """A value of a result: times as datetimes with UTC, nodes and edges as their properties."""
    if isinstance(value, DateTime):
        moment = value.to_native()
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return {
            "nodes": [_plain(node) for node in value.nodes],
            "edges": [_plain(edge) for edge in value.relationships],
        }
    if isinstance(value, dict | Entity):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _sentence(error: Exception) -> str:
    text = " ".join(str(error.message if isinstance(error, Neo4jError) else error).split())[:300]
    return text if text.endswith(".") else f"{text}."
