"""Rotation of the token secret: every code and token of the log made anew from the vault's originals.

Contents, events, sessions, prompts and tool calls are keyed by the signatures secret and stay what they are.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ringwatch.audit import record
from ringwatch.errors import RingwatchError
from ringwatch.ingest.apart import run_apart
from ringwatch.ingest.contract import Table, tables
from ringwatch.ingest.dictionary import TokenMaker
from ringwatch.ingest.engine import connect, engine_errors
from ringwatch.ingest.log import literal, quoted
from ringwatch.ingest.vault import FILE, NOTE, PROMPT, TOOL_ARGS, VaultWriter, read_vault
from ringwatch.workspace import Current, Workspace, fsync_path

_COPY = "(FORMAT parquet, COMPRESSION zstd)"


@dataclass(frozen=True)
class Rotation:
    """The batches that were rewritten, how many tokens changed, and a Parquet file of them (`old_token`, `token`)."""

    batches: tuple[str, ...]
    tokens: int
    renamed: Path


def rotate_keys(workspace: Workspace, current: Current, folder: Path, *, new_key: str, reason: str) -> Rotation:
    """Writes every batch of `current` anew into `folder/BATCH`, under the token secret `new_key`, which exists.

    The caller moves the batches into the log and commits them together with `new_key`. Another process does the
    work: nothing raw comes into the memory of this one.

    Raises:
        RingwatchError: a vault is damaged, or lacks an original.
    """
    record(workspace.audit_path, "rotate-keys", old=current.token_key, new=new_key, reason=reason)
    return run_apart(_rotate, workspace, current, folder, new_key)


def _rotate(workspace: Workspace, current: Current, folder: Path, new_key: str) -> Rotation:
    maker = TokenMaker(workspace.secret(new_key), workspace.config)
    with engine_errors(), closing(connect(workspace.config.memory_mb)) as con:
        con.execute(
            "CREATE TABLE renamed"
            " (entity_type VARCHAR, old BIGINT, old_token VARCHAR, entity BIGINT, token VARCHAR, family BIGINT,"
            " shape BIGINT)"
        )
        for batch in current.batches:
            (folder / batch).mkdir(parents=True)
            if (workspace.log_dir / batch / FILE).is_file():
                _reseal(con, workspace, batch, folder / batch, maker)
        con.execute("CREATE TABLE names AS SELECT DISTINCT ON (entity_type, old) * FROM renamed")
        for batch in current.batches:
            for path in sorted((workspace.log_dir / batch).iterdir()):
                _rewrite(con, path, folder / batch / path.name, tables(workspace.config))
            for path in (*(folder / batch).iterdir(), folder / batch):
                fsync_path(path)
        renamed = folder / "renamed.parquet"
        con.execute(f"COPY (SELECT DISTINCT old_token, token FROM names) TO {literal(str(renamed))} {_COPY}")
        tokens = con.execute("SELECT count(*) FROM names").fetchall()[0][0]
    return Rotation(current.batches, tokens, renamed)


def _reseal(
    con: duckdb.DuckDBPyConnection, workspace: Workspace, batch: str, folder: Path, maker: TokenMaker
) -> None:
    """Writes a batch's vault under the new tokens, and the new names of its entities into `renamed`."""
    notes: list[pa.Table] = []
    with VaultWriter(workspace, folder) as vault:
        for kind, rows in read_vault(workspace, batch):
            if kind == NOTE:
                notes.append(rows)
                continue
            if kind in (PROMPT, TOOL_ARGS):
                vault.keep(kind, rows["token"], rows["value"])
                continue
            made, _, _ = maker.make(kind, rows["value"].combine_chunks().cast(pa.string()))
            named = made.append_column("old_token", rows["token"]).append_column("old", _codes(rows["token"]))
            con.register("incoming", named.drop_columns(["parent", "label", "disposable"]))
            con.execute("INSERT INTO renamed BY NAME SELECT * FROM incoming WHERE entity IS NOT NULL")
            con.unregister("incoming")
            good = made["token"].is_valid()
            vault.keep(kind, made["token"].filter(good), rows["value"].filter(good))
        for rows in notes:
            con.register("incoming", rows)
            moved = con.sql(
                "SELECT DISTINCT r.token, value FROM incoming i JOIN renamed r ON r.old_token = i.token"
            ).to_arrow_table()
            con.unregister("incoming")
            vault.keep(NOTE, moved["token"], moved["value"])


def _codes(tokens: Any) -> Any:
    """The 64-bit codes of tokens: the first 16 hex digits behind the type."""
    joined = b"".join(bytes.fromhex(token.rpartition("_")[2][:16]) for token in tokens.to_pylist())
    return pa.array(np.frombuffer(joined, dtype=">i8").astype(np.int64))


def _rewrite(con: duckdb.DuckDBPyConnection, old: Path, new: Path, contract: dict[str, Table]) -> None:
    """Writes a file of a batch with the new codes; one that has none is copied."""
    if old.name == FILE:
        return
    source = f"read_parquet({literal(str(old))}) t"
    if old.name == "tokens.parquet":
        query = (
            "SELECT t.entity_type, n.entity, n.token, t.parent, n.family, n.shape, t.label, t.disposable"
            f" FROM {source} LEFT JOIN names n ON n.entity_type = t.entity_type AND n.old = t.entity"
        )
        columns = ["entity"]
    else:
        table = contract.get(old.stem) if old.suffix == ".parquet" else None
        types = {
            column.log_name: literal(column.entity) if column.kind == "entity" else "t.entity_type"
            for column in (table.columns if table else ())
            if column.kind in ("entity", "typed")
        }
        if not types:
            shutil.copy2(old, new)
            return
        columns = list(types)
        replaced = ", ".join(f"n_{name}.entity AS {quoted(name)}" for name in types)
        joins = " ".join(
            f"LEFT JOIN names n_{name} ON n_{name}.entity_type = {kind} AND n_{name}.old = t.{quoted(name)}"
            for name, kind in types.items()
        )
        query = f"SELECT t.* REPLACE ({replaced}) FROM {source} {joins}"
    con.execute(f"COPY ({query}) TO {literal(str(new))} {_COPY}")
    counts = ", ".join(f"count({quoted(name)})" for name in columns)
    before, after = (
        con.execute(f"SELECT {counts} FROM read_parquet({literal(str(p))})").fetchall() for p in (old, new)
    )
    if before != after:
        raise RingwatchError(
            f"The vaults lack originals of tokens in {old}.",
            hint="Restore the log from a backup; nothing was changed.",
        )
