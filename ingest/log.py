"""Reading the event log: committed batches as DuckDB views, as known at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from ringwatch.ingest.contract import PROMPTS_LOG, TABLE_NAMES, TOKENS_LOG, tables
from ringwatch.workspace import Current, Workspace

_MOMENT = {
    "events": "ts",
    "accounts": "coalesce(updated_at, created_at)",
    "links": "ts",
    "relations": "ts",
    "labels": "labelled_at",
}
"""Table → the time at which a row became known. Rows without one are always known; entities have none."""


def literal(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


WITHDRAWN = "withdrawn"
"""What a label is called that ends those of its account and case; reviewers take verdicts back by it."""


def _standing(query: str) -> str:
    """Labels of a query without those that were withdrawn. Labels of a case have the source `ringwatch:CASE:…`."""
    case = "CASE WHEN source LIKE 'ringwatch:%' THEN split_part(source, ':', 2) END"
    ended = f"max(labelled_at) FILTER (label = '{WITHDRAWN}') OVER (PARTITION BY account_id, {case})"
    return (
        f"SELECT * EXCLUDE (ended) FROM (SELECT *, {ended} AS ended FROM ({query}))"
        f" WHERE label != '{WITHDRAWN}' AND (ended IS NULL OR source NOT LIKE 'ringwatch:%' OR source IS NULL"
        " OR labelled_at > ended)"
    )


class EventLog:
    """The batches that `current` names.

    A table's columns are those of `contract.tables`, and the `x_` features that any batch has.
    """

    def __init__(self, workspace: Workspace, current: Current) -> None:
        self._workspace = workspace
        self._columns = {name: table.log for name, table in tables(workspace.config).items()}
        self._columns |= {"prompts": PROMPTS_LOG, "tokens": TOKENS_LOG}
        self.batches: tuple[str, ...] = current.batches

    def files(self, table: str, batches: Sequence[str] | None = None) -> list[Path]:
        """The Parquet files of a table, oldest batch first; of all batches unless some are named."""
        chosen = self.batches if batches is None else batches
        paths = (self._workspace.log_dir / batch / f"{table}.parquet" for batch in chosen)
        return [path for path in paths if path.is_file()]

    def relation(self, table: str, batches: Sequence[str] | None = None) -> str:
        """An SQL subquery of all rows of a table; of no rows, with the right types, where no batch has it."""
        columns = self._columns[table]
        empty = "SELECT " + ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items())
        files = self.files(table, batches)
        if not files:
            return f"({empty} WHERE false)"
        listed = ", ".join(literal(str(path)) for path in files)
        stored = f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        return f"({stored} UNION ALL BY NAME {empty} WHERE false)"

    def attach(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        as_of: datetime | None = None,
        batches: Sequence[str] | None = None,
    ) -> None:
        """Makes the views events, accounts, links, relations, entities, labels, prompts and tokens in `con`.

        `accounts` has one row per account: the latest `updated_at`, then the greater content key. `prompts` and
        `tokens` have each id once. With `as_of` a row is seen where its time is not later, or where it has none;
        the moment of an account's row is its `updated_at`, else its `created_at`; a status without `updated_at` is
        of no known moment, and is not seen.
        """
        con.execute("SET TimeZone = 'UTC'")
        for table in TABLE_NAMES:
            source = self.relation(table, batches)
            query = f"SELECT * FROM {source}"
            if as_of is not None and table in _MOMENT:
                moment = _MOMENT[table]
                query += f" WHERE {moment} IS NULL OR {moment} <= {literal(as_of.isoformat())}::TIMESTAMPTZ"
                if table == "accounts":
                    # A verdict of no known moment may be of a later one.
                    status = "CASE WHEN updated_at IS NOT NULL THEN status END AS status"
                    query = f"SELECT * REPLACE ({status}) FROM ({query})"
            if table == "labels":
                query = _standing(query)
            if table == "accounts":
                query += (
                    " QUALIFY row_number() OVER (PARTITION BY account_id"
                    " ORDER BY updated_at DESC NULLS LAST, content_key DESC) = 1"
                )
            con.execute(f"CREATE OR REPLACE TEMP VIEW {table} AS {query}")
        # Batches of a version that knew no forms of mailboxes have none: of two rows the one that says more stands.
        keys = (("prompts", "prompt", ""), ("tokens", "entity_type, entity", " ORDER BY entity_type, entity, shape"))
        for table, key, order in keys:
            source = self.relation(table, batches)
            query = f"SELECT * FROM {source}"
            # One batch has each id once; sorting two million sketches to learn that would be waste.
            if len(self.files(table, batches)) > 1:
                query = f"SELECT DISTINCT ON ({key}) * FROM {source}{order}"
            con.execute(f"CREATE OR REPLACE TEMP VIEW {table} AS {query}")
