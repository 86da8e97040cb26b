"""What a batch has beside the log: duplicates and conflicts taken out of its staged rows, and the entities named.

The staged rows lie in Parquet parts and hold hashes and tokens only. Yet a process that has read raw values must not
let this work spill: pages that the engine writes out carry what its memory held before. So it is done in memory where
it fits, and where it does not, by a process of its own that has never seen a raw value.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.ingest.apart import run_apart
from ringwatch.ingest.contract import Table, tables
from ringwatch.ingest.engine import connect, engine_errors
from ringwatch.ingest.log import EventLog, literal, quoted
from ringwatch.workspace import Current, Workspace

_ROW_BYTES = 160
"""Memory that a staged row, or a token, takes here: its keys, hashed and grouped."""

_COPY = "(FORMAT parquet, COMPRESSION zstd)"


class Parts:
    """Appends Arrow tables to `folder/NAME.partN`; a new part begins where columns differ."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._count = 0
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Appends rows."""
        if self._writer is None or rows.schema != self._schema:
            self.close()
            part = self._path.with_suffix(f".part{self._count:04}")
            self._count += 1
            self._schema = rows.schema
            self._writer = pq.ParquetWriter(part, rows.schema, compression="zstd", compression_level=1)
        self._writer.write_table(rows)
        self.rows += len(rows)

    def close(self) -> None:
        """Completes the last part."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass(frozen=True)
class Outcome:
    """Rows stored and duplicates; `conflicts` are the `rid`s of rows whose event is stored with another content."""

    stored: int
    duplicates: int
    conflicts: tuple[int, ...]


def settle(workspace: Workspace, current: Current, folder: Path, rows: int) -> dict[str, Outcome]:
    """Makes the files of the log from the parts in `folder`, which have `rows` rows together; table → outcome.

    Raises:
        RingwatchError: the engine failed.
    """
    if rows * _ROW_BYTES < _memory_mb(workspace) << 20:
        return _settle(workspace, current, folder, None)
    spill = workspace.staging_dir / f"{folder.name}.spill"
    try:
        return run_apart(_settle, workspace, current, folder, spill)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _memory_mb(workspace: Workspace) -> int:
    return workspace.config.memory_mb // 2  # the other half is still with what has read the rows


def _settle(workspace: Workspace, current: Current, folder: Path, spill: Path | None) -> dict[str, Outcome]:
    log, contract = EventLog(workspace, current), tables(workspace.config)
    with engine_errors(), closing(connect(_memory_mb(workspace), spill)) as con:
        outcomes = {
            name: _deduplicate(con, folder, name, log) for name in contract if (folder / f"{name}.part0000").is_file()
        }
        stored = [contract[name] for name, outcome in outcomes.items() if outcome.stored]
        _name_entities(con, folder, stored)
    for part in folder.glob("*.part*"):
        part.unlink()
    return outcomes


def _parts(folder: Path, name: str, columns: str = "*") -> str:
    """A query of the rows of all parts of a name, with `pos`, their place in them."""
    queries, start = [], 0
    for part in sorted(folder.glob(f"{name}.part*")):
        queries.append(
            f"SELECT {columns}, file_row_number + {start} AS pos"
            f" FROM read_parquet({literal(str(part))}, file_row_number = true)"
        )
        start += pq.read_metadata(part).num_rows
    return f"({' UNION ALL BY NAME '.join(queries)})"


def _deduplicate(con: duckdb.DuckDBPyConnection, folder: Path, name: str, log: EventLog) -> Outcome:
    events = name == "events"
    con.execute(f"CREATE TABLE lost AS {_lost_events(folder, log) if events else _lost_rows(folder, name, log)}")
    conflicts: list[int] = []
    if events:
        found = con.execute(
            f"SELECT rid FROM {_parts(folder, 'rids')} SEMI JOIN (FROM lost WHERE NOT same) USING (pos) ORDER BY rid"
        )
        conflicts = [row[0] for row in found.fetchall()]
    parts = sorted(folder.glob(f"{name}.part*"))
    [[lost]] = con.execute("SELECT count(*) FROM lost").fetchall()
    stored = sum(pq.read_metadata(part).num_rows for part in parts) - lost
    path = folder / f"{name}.parquet"
    if not lost and len(parts) == 1:
        parts[0].rename(path)
    elif stored:
        kept = f"SELECT * EXCLUDE (pos, file_row_number) FROM {_parts(folder, name)} ANTI JOIN lost USING (pos)"
        con.execute(f"COPY ({kept}) TO {literal(str(path))} {_COPY}")
    con.execute("DROP TABLE lost")
    return Outcome(stored, lost - len(conflicts), tuple(conflicts))


def _lost_rows(folder: Path, name: str, log: EventLog) -> str:
    """Rows of a table that is identified by all its columns: those stored, and all but one of equal ones."""
    keys = _parts(folder, name, "content_key")
    return f"""
        WITH keys AS (FROM {keys}),
        again AS (SELECT content_key FROM keys GROUP BY content_key HAVING count(*) > 1)
        SELECT pos, true AS same FROM keys
        SEMI JOIN (SELECT content_key FROM {log.relation(name)}) USING (content_key)
        UNION
        SELECT pos, true FROM keys SEMI JOIN again USING (content_key)
        QUALIFY row_number() OVER (PARTITION BY content_key ORDER BY pos) > 1"""


def _lost_events(folder: Path, log: EventLog) -> str:
    """Events stored before, in this content (`same`) or another; of the others all but the one that stands."""
    keys = _parts(folder, "events", "event_key, content_key, ts")
    return f"""
        WITH keys AS (FROM {keys}),
        again AS (SELECT event_key FROM keys GROUP BY event_key HAVING count(*) > 1),
        stored AS MATERIALIZED (
            SELECT event_key, content_key FROM {log.relation("events")}
            SEMI JOIN keys USING (event_key)
        )
        SELECT pos, k.content_key = s.content_key AS same FROM keys k JOIN stored s USING (event_key)
        UNION ALL
        SELECT pos, content_key = stands FROM (
            SELECT pos, content_key, first_value(content_key) OVER w AS stands, row_number() OVER w AS place
            FROM keys SEMI JOIN again USING (event_key) ANTI JOIN stored USING (event_key)
            WINDOW w AS (PARTITION BY event_key ORDER BY ts, content_key, pos)
        ) WHERE place > 1"""


def _name_entities(con: duckdb.DuckDBPyConnection, folder: Path, stored: list[Table]) -> None:
    """Writes the tokens and the prompts that stored rows refer to."""
    used = " UNION ALL ".join(
        query for table in stored if (query := used_entities(table, folder / f"{table.name}.parquet"))
    )
    tokens, prompts = folder / "tokens.parquet", folder / "prompts.parquet"
    if used and (folder / "tokens.part0000").is_file():
        # All of a row follows from its entity: equal entities are equal rows.
        rows = f"SELECT DISTINCT * EXCLUDE (pos, file_row_number) FROM {_parts(folder, 'tokens')}"
        con.execute(f"COPY ({rows} SEMI JOIN ({used}) USING (entity_type, entity)) TO {literal(str(tokens))} {_COPY}")
    part = folder / "prompts.part0000"
    if part.is_file() and any(table.name == "events" for table in stored):
        events = literal(str(folder / "events.parquet"))
        sent = f"SELECT DISTINCT prompt FROM read_parquet({events}) WHERE prompt IS NOT NULL"
        [[kept]] = con.execute(f"SELECT count(*) FROM ({sent})").fetchall()
        if kept == pq.read_metadata(part).num_rows:
            part.rename(prompts)
        elif kept:
            rows = f"SELECT * FROM read_parquet({literal(str(part))}) SEMI JOIN ({sent}) USING (prompt)"
            con.execute(f"COPY ({rows}) TO {literal(str(prompts))} {_COPY}")


def used_entities(table: Table, path: Path) -> str:
    """A query of the distinct (entity_type, entity) that the file of a table refers to."""
    source = f"read_parquet({literal(str(path))})"
    parts = [
        f"SELECT DISTINCT {literal(column.entity)} AS entity_type, {quoted(column.log_name)} AS entity FROM {source}"
        f" WHERE {quoted(column.log_name)} IS NOT NULL"
        for column in table.columns
        if column.kind == "entity"
    ]
    typed = any(column.kind == "typed" for column in table.columns)
    return " UNION ALL ".join(parts + [f"SELECT DISTINCT entity_type, entity FROM {source}"] * typed)
