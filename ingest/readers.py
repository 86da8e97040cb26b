"""From files to Arrow tables, chunk by chunk: whatever the size of a file, no more than a chunk of it is in memory.

A chunk has the file's columns and two of ours: `__row`, a number that tells the rows of a file apart, and `__line`,
the line (Parquet: the row) that a report names. JSON Lines also have `__raw`, the line itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import literal
from ringwatch.ingest.sources import SourceFile

FEATURE = re.compile(r"x_[A-Za-z0-9_]{1,62}\Z")
"""The names of numeric features; a column of another name is unknown."""

OURS = ("__row", "__line", "__raw")
_BATCH_ROWS = 100_000
_NESTED = re.compile(r"\[|STRUCT|MAP|UNION|VARIANT", re.IGNORECASE)


@dataclass(frozen=True)
class Malformed:
    """What could not be taken apart into a row: where it stands, why, and its text."""

    line: int
    reason: str
    content: str


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, in its order. `unknown` are the columns that are not of the contract."""

    rows: pa.Table
    malformed: list[Malformed] = field(default_factory=list)
    unknown: frozenset[str] = frozenset()

    @property
    def read(self) -> int:
        return self.rows.num_rows + len(self.malformed)


def read_chunks(
    con: duckdb.DuckDBPyConnection, file: SourceFile, table: Table, limits: Limits, *, size: int
) -> Iterator[Chunk]:
    """The rows of a file in chunks of about `size` bytes. `con` does the work; nothing is left in it.

    Raises:
        DataError: the file cannot be read, passes a bound, lacks a required column, or names one twice.
    """
    from ringwatch.ingest import csv_lines, json_lines  # they import what is here

    readers = {"parquet": _parquet, "csv": csv_lines.read_csv, "jsonl": json_lines.read_jsonl}
    held: list[Chunk] = []
    for piece in readers[file.format](con, file, table, limits):
        held.append(piece)
        if sum(part.rows.nbytes for part in held) >= size:
            yield _together(held)
            held = []
    if held:
        yield _together(held)


def _together(pieces: list[Chunk]) -> Chunk:
    # Pieces of JSON Lines differ in their columns: what a piece lacks is null.
    return Chunk(
        pa.concat_tables([piece.rows for piece in pieces], promote_options="permissive"),
        [row for piece in pieces for row in piece.malformed],
        frozenset().union(*(piece.unknown for piece in pieces)),
    )


def check_required(names: set[str], file: SourceFile, table: Table) -> None:
    """Raises `DataError` where a required column is not among the names of a file's columns."""
    lacking = [name for name in table.required if name not in names]
    if lacking:
        raise DataError(
            f"{file.name} lacks the required column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}.",
            hint=f"Table {table.name} needs {', '.join(table.required)}.",
        )


def check_names(names: list[str], file: SourceFile, limits: Limits) -> None:
    """Raises `DataError` where there are too many columns, or two that SQL cannot tell apart."""
    if len(names) > limits.columns:
        raise DataError(
            f"{file.name} has {len(names)} columns, more than the limit of {limits.columns}.",
            hint="Leave out the columns that are not in the contract, or raise limits.columns in ringwatch.toml.",
        )
    seen = dict.fromkeys((*OURS, "rid", "file_row_number"), "")
    for name in names:
        # SQL does not tell capitals from small letters in names.
        other = seen.get(name.lower())
        if other is not None:
            what = "twice" if other == name else f"beside '{other[:80]}'" if other else "whose name is ours"
            raise DataError(f"{file.name} has a column '{name[:80]}' {what}.", hint="Give every column its own name.")
        seen[name.lower()] = name


def unknown_of(names: list[str], table: Table) -> frozenset[str]:
    """Those names that the contract does not have."""
    known = {column.name for column in table.columns}
    return frozenset(name for name in names if name not in known and not FEATURE.match(name))


# -- Parquet ----------------------------------------------------------------------------------------------


def _parquet(con: duckdb.DuckDBPyConnection, file: SourceFile, table: Table, limits: Limits) -> Iterator[Chunk]:
    try:
        with pq.ParquetFile(file.path) as parquet:
            names = [str(name) for name in parquet.schema_arrow.names]
            groups = range(parquet.metadata.num_row_groups)
            expanded = sum(parquet.metadata.row_group(index).total_byte_size for index in groups)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    check_names(names, file, limits)
    check_required(set(names), file, table)
    if expanded > limits.file_bytes or expanded > limits.compression_ratio * max(file.path.stat().st_size, 1 << 20):
        raise DataError(
            f"{file.name} grows to {expanded} bytes when decompressed, more than the limits allow.",
            hint="If it is honest, raise limits.compression_ratio or limits.file_bytes in ringwatch.toml.",
        )
    unknown = unknown_of(names, table)
    query = (
        "SELECT * EXCLUDE (file_row_number), file_row_number AS __row, file_row_number + 1 AS __line"
        f" FROM read_parquet({literal(str(file.path.resolve()))},"
        " file_row_number = true, binary_as_string = true, hive_partitioning = false)"
    )
    try:
        relation = con.cursor().sql(query)
        _refuse_nested(dict(zip(relation.columns, map(str, relation.types), strict=True)), file, table)
        for batch in relation.to_arrow_reader(_BATCH_ROWS):
            yield Chunk(pa.Table.from_batches([batch]), unknown=unknown)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error


def _refuse_nested(types: dict[str, str], file: SourceFile, table: Table) -> None:
    kinds = {column.name: column.kind for column in table.columns}
    for name, kind in types.items():
        plain = name in kinds or FEATURE.match(name)
        if plain and kinds.get(name) not in ("json", "prompt") and _NESTED.search(kind):
            raise DataError(
                f"Column '{name}' of {file.name} holds nested values ({kind[:60]}).", hint="Give it plain values."
            )


def _unreadable(file: SourceFile, error: Any) -> DataError:
    # The library's message may quote a value: only its kind is repeated.
    return DataError(
        f"{file.name} cannot be read as Parquet ({type(error).__name__}).",
        hint="Check that the file is whole and its text is UTF-8.",
    )
