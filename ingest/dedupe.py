"""The log of one table in a batch: rows are appended as they come, and what is there already is taken out at the end.

Only keys are held to find duplicates – as columns of DuckDB, which may spill them: they are hashes – never rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import EventLog, literal, quoted

_kernels: Any = pc


@dataclass(frozen=True)
class Outcome:
    """Rows stored and duplicates; `conflicts` are the `rid`s of rows whose event is stored with another content."""

    stored: int
    duplicates: int
    conflicts: list[int] = field(default_factory=list)


class ParquetParts:
    """Appends Arrow tables to `folder/NAME.parquet`; where columns differ there are parts until `finish`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.parquet"
        self.rows = 0
        self._parts: list[tuple[Path, int]] = []
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None

    def add(self, rows: pa.Table) -> None:
        """Appends rows."""
        if self._writer is None or rows.schema != self._schema:
            self._close()
            part = self.path.with_suffix(f".part{len(self._parts)}")
            self._parts.append((part, self.rows))
            self._schema = rows.schema
            self._writer = pq.ParquetWriter(part, rows.schema, compression="zstd", compression_level=1)
        self._writer.write_table(rows)
        self.rows += len(rows)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self, con: duckdb.DuckDBPyConnection, kept: int, where: str) -> None:
        """Makes the file of the `kept` rows for which the SQL condition `where` (over the columns, and `pos`, the
        place of a row) holds; of no rows there is no file."""
        self._close()
        if kept == self.rows and len(self._parts) == 1:
            self._parts[0][0].rename(self.path)
            return
        if kept:
            union = " UNION ALL BY NAME ".join(
                f"SELECT * EXCLUDE (file_row_number), file_row_number + {start} AS pos"
                f" FROM read_parquet({literal(str(part))}, file_row_number = true)"
                for part, start in self._parts
            )
            con.execute(
                f"COPY (SELECT * EXCLUDE (pos) FROM ({union}) WHERE {where})"
                f" TO {literal(str(self.path))} (FORMAT parquet, COMPRESSION zstd)"
            )
        for part, _ in self._parts:
            part.unlink()


class TableLog:
    """The rows of a table that break nothing. `con` holds their keys and may spill."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, table: Table) -> None:
        self._con = con
        self._table = table
        self._parts = ParquetParts(folder, table.name)
        self._keys = f"keys_{table.name}"
        self._events = table.name == "events"
        columns = (
            "event_key UUID, content_key UUID, ts TIMESTAMPTZ, rid BIGINT" if self._events else "content_key UUID"
        )
        con.execute(f"CREATE TABLE {self._keys} ({columns}, pos BIGINT)")

    @property
    def path(self) -> Path:
        return self._parts.path

    def add(self, staged: pa.Table) -> None:
        """Takes rows of the staging query."""
        pos = pa.array(np.arange(self._parts.rows, self._parts.rows + len(staged)))
        keys = staged.select(["event_key", "content_key", "ts", "rid"] if self._events else ["content_key"])
        self._con.register("incoming", keys.append_column("pos", pos))
        self._con.execute(f"INSERT INTO {self._keys} BY NAME SELECT * FROM incoming")
        self._con.unregister("incoming")
        self._parts.add(staged.drop_columns(["rid", "reason", "soft"]))

    def finish(self, log: EventLog) -> Outcome:
        """Leaves in the file what is new beside `log`."""
        self._con.execute(
            f"CREATE TABLE lost_{self._table.name} AS {self._lost_events(log) if self._events else self._lost(log)}"
        )
        lost = f"lost_{self._table.name}"
        duplicates, conflicts = self._con.execute(
            f"SELECT count(*) FILTER (same), coalesce(list(rid ORDER BY rid) FILTER (NOT same), []) FROM {lost}"
        ).fetchall()[0]
        stored = self._parts.rows - duplicates - len(conflicts)
        self._parts.finish(self._con, stored, f"pos NOT IN (SELECT pos FROM {lost})")
        self._con.execute(f"DROP TABLE {self._keys}; DROP TABLE {lost}")
        return Outcome(stored, duplicates, conflicts)

    def _lost(self, log: EventLog) -> str:
        """Rows of a table that is identified by all its columns: those stored, and all but one of equal ones."""
        again = f"SELECT content_key FROM {self._keys} GROUP BY content_key HAVING count(*) > 1"
        return f"""
            SELECT pos, 0::BIGINT AS rid, true AS same FROM {self._keys}
            SEMI JOIN (SELECT content_key FROM {log.relation(self._table.name)}) USING (content_key)
            UNION
            SELECT pos, 0, true FROM {self._keys} SEMI JOIN ({again}) USING (content_key)
            QUALIFY row_number() OVER (PARTITION BY content_key ORDER BY pos) > 1"""

    def _lost_events(self, log: EventLog) -> str:
        """Events stored before, in this content or another; and within the batch all but the one that stands."""
        again = f"SELECT event_key FROM {self._keys} GROUP BY event_key HAVING count(*) > 1"
        return f"""
            WITH stored AS MATERIALIZED (
                SELECT event_key, content_key FROM {log.relation("events")}
                SEMI JOIN {self._keys} USING (event_key)
            )
            SELECT pos, rid, k.content_key = s.content_key AS same FROM {self._keys} k JOIN stored s USING (event_key)
            UNION ALL
            SELECT pos, rid, content_key = stands FROM (
                SELECT pos, rid, content_key, first_value(content_key) OVER w AS stands, row_number() OVER w AS place
                FROM {self._keys} SEMI JOIN ({again}) USING (event_key) ANTI JOIN stored USING (event_key)
                WINDOW w AS (PARTITION BY event_key ORDER BY ts, content_key, pos)
            ) WHERE place > 1"""


def used_entities(table: Table, path: Path) -> str:
    """A query of the distinct (entity_type, entity) that the file of a table in the log refers to."""
    source = f"read_parquet({literal(str(path))})"
    parts = [
        f"SELECT DISTINCT {literal(column.entity)} AS entity_type, {quoted(column.log_name)} AS entity FROM {source}"
        f" WHERE {quoted(column.log_name)} IS NOT NULL"
        for column in table.columns
        if column.kind == "entity"
    ]
    parts += [
        f"SELECT DISTINCT entity_type, entity FROM {source}" for column in table.columns if column.kind == "typed"
    ]
    return " UNION ALL ".join(parts)
