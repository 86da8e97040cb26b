"""Erasure: every batch written anew without what an account did, or without what is older than a moment.

What is gone are rows of the log, the tokens and prompts that only they had, their originals in the vaults, and their
rows in quarantine. An original that another account's row has as well stays: it is theirs, too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.clock import parse_time
from ringwatch.errors import UsageError
from ringwatch.ingest.apart import run_apart
from ringwatch.ingest.contract import TABLE_NAMES, tables
from ringwatch.ingest.dedupe import used_entities
from ringwatch.ingest.dictionary import named_codes
from ringwatch.ingest.engine import connect, engine_errors
from ringwatch.ingest.log import EventLog, literal
from ringwatch.ingest.quarantine import FILE as QUARANTINE
from ringwatch.ingest.quarantine import QuarantineWriter
from ringwatch.ingest.report import FILE as REPORT
from ringwatch.ingest.report import ingested_at
from ringwatch.ingest.sealed import SealedReader
from ringwatch.ingest.vault import FILE as VAULT
from ringwatch.ingest.vault import VaultWriter, read_vault
from ringwatch.workspace import Current, Workspace, fsync_path

_COPY = "(FORMAT parquet, COMPRESSION zstd)"
_ACCOUNT_COLUMNS = ("account_id", "src_account_id", "dst_account_id")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_AGED = ("events", "links", "relations")
_kernels: Any = pc


@dataclass(frozen=True)
class Erasure:
    """What was erased: the accounts of which nothing is left, rows by table (quarantine among them), originals."""

    accounts: tuple[str, ...]
    rows: dict[str, int]
    originals: int


def erase(
    workspace: Workspace,
    current: Current,
    folder: Path,
    *,
    accounts: Sequence[str] = (),
    before: datetime | None = None,
) -> Erasure:
    """Writes every batch of `current` anew into `folder/BATCH`, without all of `accounts`, and without the rows that
    are older than `before`. An account of which everything is older goes wholly.

    The caller moves the batches into the log and commits them. Another process does the work: nothing raw comes into
    the memory of this one.

    Raises:
        UsageError: neither log nor quarantine knows one of the accounts.
        RingwatchError: a vault or a quarantine is damaged.
    """
    return run_apart(_erase, workspace, current, folder, tuple(accounts), before)


def _erase(
    workspace: Workspace, current: Current, folder: Path, accounts: tuple[str, ...], before: datetime | None
) -> Erasure:
    rows: Counter[str] = Counter()
    originals = 0
    with engine_errors(), closing(connect(workspace.config.memory_mb)) as con:
        log = EventLog(workspace, current)
        con.execute(f"CREATE TABLE seen AS {_last_seen(log)}")
        known = {row[0] for row in con.execute("SELECT account_id FROM seen").fetchall()}
        if unknown := _nowhere(workspace, current, set(accounts) - known):
            raise UsageError(
                f"There is nothing of {len(unknown)} of the accounts, in the log or in quarantine.",
                hint="Name accounts as `ringwatch scores` does.",
            )
        gone = set(accounts)
        if before is not None:
            old = con.execute("SELECT account_id FROM seen WHERE last < ?::TIMESTAMPTZ", [before.isoformat()])
            gone |= {row[0] for row in old.fetchall()}
        con.register("gone_arrow", pa.table({"account_id": pa.array(sorted(gone), pa.string())}))
        con.execute("CREATE TABLE gone AS FROM gone_arrow")
        named = _naming(gone)
        for batch in current.batches:
            source, target = workspace.log_dir / batch, folder / batch
            target.mkdir(parents=True)
            for name in TABLE_NAMES:
                if (source / f"{name}.parquet").is_file():
                    rows[name] += _keep(con, source / f"{name}.parquet", target / f"{name}.parquet", name, before)
            kept = _keep_names(con, workspace, source, target)
            originals += _keep_originals(workspace, batch, target, kept)
            rows["quarantine"] += _keep_quarantine(workspace, source, target, named, before)
            if (source / REPORT).is_file():
                shutil.copy2(source / REPORT, target / REPORT)
            for path in (*target.iterdir(), target):
                fsync_path(path)
    return Erasure(tuple(sorted(gone)), {name: count for name, count in rows.items() if count}, originals)


def _last_seen(log: EventLog) -> str:
    """account_id and the newest moment of any of its rows (infinity where one has no time but the account's own)."""
    relations = log.relation("relations")
    return f"""
        SELECT account_id, max(moment) AS last FROM (
            SELECT account_id, ts AS moment FROM {log.relation("events")}
            UNION ALL SELECT account_id, coalesce(updated_at, created_at) FROM {log.relation("accounts")}
            UNION ALL SELECT account_id, coalesce(ts, 'infinity') FROM {log.relation("links")}
            UNION ALL SELECT src_account_id, coalesce(ts, 'infinity') FROM {relations}
            UNION ALL SELECT dst_account_id, coalesce(ts, 'infinity') FROM {relations}
            UNION ALL SELECT account_id, labelled_at FROM {log.relation("labels")}
        ) GROUP BY account_id"""


def _keep(con: duckdb.DuckDBPyConnection, old: Path, new: Path, name: str, before: datetime | None) -> int:
    """Writes a table without what is erased; how many rows that is. A table of which nothing is left has no file."""
    source = f"read_parquet({literal(str(old))})"
    columns = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    where = [f"({column} IS NULL OR {column} NOT IN (FROM gone))" for column in _ACCOUNT_COLUMNS if column in columns]
    if before is not None and name in _AGED:
        where.append(f"(ts IS NULL OR ts >= {literal(before.isoformat())}::TIMESTAMPTZ)")
    kept = f"SELECT * FROM {source} WHERE {' AND '.join(where) or 'true'}"
    [[before_rows, after_rows]] = con.execute(
        f"SELECT (SELECT count(*) FROM {source}), (SELECT count(*) FROM ({kept}))"
    ).fetchall()
    if after_rows:
        con.execute(f"COPY ({kept}) TO {literal(str(new))} {_COPY}")
    return int(before_rows - after_rows)


def _keep_names(con: duckdb.DuckDBPyConnection, workspace: Workspace, source: Path, target: Path) -> Any:
    """Writes tokens and prompts that rows of the batch still have; what the vault calls the originals of these."""
    names: list[Any] = []
    used = [
        query
        for name, table in tables(workspace.config).items()
        if (target / f"{name}.parquet").is_file() and (query := used_entities(table, target / f"{name}.parquet"))
    ]
    tokens, events = target / "tokens.parquet", target / "events.parquet"
    if (source / tokens.name).is_file() and used:
        rows = f"SELECT * FROM read_parquet({literal(str(source / tokens.name))})"
        kept = f"{rows} SEMI JOIN ({' UNION '.join(used)}) USING (entity_type, entity)"
        con.execute(f"COPY ({kept}) TO {literal(str(tokens))} {_COPY}")
        names += _column(con, f"SELECT token FROM read_parquet({literal(str(tokens))})").to_pylist()
    if events.is_file():
        sent = f"read_parquet({literal(str(events))})"
        prompts = target / "prompts.parquet"
        if (source / prompts.name).is_file():
            rows = f"SELECT * FROM read_parquet({literal(str(source / prompts.name))})"
            kept = f"{rows} SEMI JOIN (SELECT prompt FROM {sent} WHERE prompt IS NOT NULL) USING (prompt)"
            con.execute(f"COPY ({kept}) TO {literal(str(prompts))} {_COPY}")
        for kind, column in (("prompt", "prompt"), ("args", "tool_args")):
            codes = _column(con, f"SELECT DISTINCT {column} FROM {sent} WHERE {column} IS NOT NULL")
            names += named_codes(kind, codes.to_numpy(zero_copy_only=False).astype(np.int64)).to_pylist()
    return pa.array(names, pa.string())


def _column(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.sql(query).to_arrow_table().column(0).combine_chunks()


def _keep_originals(workspace: Workspace, batch: str, target: Path, kept: Any) -> int:
    """Seals a batch's vault anew with the originals of names in `kept`; how many are gone."""
    if not (workspace.log_dir / batch / VAULT).is_file():
        return 0
    gone = 0
    with VaultWriter(workspace, target) as vault:
        for kind, rows in read_vault(workspace, batch):
            stays = _kernels.is_in(rows["token"], value_set=kept.cast(rows.schema.field("token").type))
            some = rows.filter(stays)
            gone += len(rows) - len(some)
            if len(some):
                vault.keep(kind, some["token"], some["value"])
    return gone


def _nowhere(workspace: Workspace, current: Current, accounts: set[str]) -> set[str]:
    """Those accounts that no row in quarantine names."""
    names = {account: _naming({account}) for account in accounts}
    folders = [workspace.log_dir / batch for batch in current.batches]
    for folder in folders:
        for said in _quarantined(workspace, folder) if names and (folder / QUARANTINE).is_file() else ():
            names = {account: named for account, named in names.items() if not named(said["row"])}
    return set(names)


def _naming(accounts: set[str]) -> Callable[[dict[str, Any]], bool]:
    """Whether a row in quarantine is of one of the accounts."""
    written = sorted(accounts | {json.dumps(name)[1:-1] for name in accounts})
    whole = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in written) or r"(?!)")
    numbers = {Decimal(name) for name in accounts if _NUMBER.fullmatch(name)}

    def is_one(value: Any) -> bool:
        if isinstance(value, str):
            return value in accounts
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        # The log has 5 where the drop had 5.0: see `validate.text_of`.
        return text in accounts or (_NUMBER.fullmatch(text) is not None and Decimal(text) in numbers)

    def named(row: dict[str, Any]) -> bool:
        if set(row) == {"text"}:  # a line that could not be taken apart
            return whole.search(str(row["text"])) is not None
        return any(is_one(row[column]) for column in _ACCOUNT_COLUMNS if column in row)

    return named


def _moment(said: dict[str, Any]) -> datetime | None:
    """The time of a quarantined row, where its table is one whose rows grow old, and the time can be read."""
    try:
        return parse_time(str(said["row"].get("ts"))) if said["table"] in _AGED else None
    except (UsageError, OverflowError):
        return None


def _quarantined(workspace: Workspace, folder: Path) -> Iterator[dict[str, Any]]:
    """What the quarantine in a batch's folder says of each row."""
    for _, data in SealedReader(workspace, folder / QUARANTINE, "quarantine").chunks():
        yield from map(json.loads, data.splitlines())


def _keep_quarantine(
    workspace: Workspace,
    source: Path,
    target: Path,
    named: Callable[[dict[str, Any]], bool],
    before: datetime | None,
) -> int:
    """Seals a batch's quarantine anew without rows of those who are gone, and without what is too old: a row whose
    time cannot be read is as old as its batch. How many rows are gone."""
    if not (source / QUARANTINE).is_file():
        return 0
    gone, came = 0, ingested_at(source)
    with QuarantineWriter(workspace, target) as kept:
        for said in _quarantined(workspace, source):
            if named(said["row"]) or (before and (_moment(said) or came) < before):
                gone += 1
            else:
                kept.keep(**said)
        kept.seal()
    if not kept.rows:
        (target / QUARANTINE).unlink()
    return gone
