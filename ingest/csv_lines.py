"""CSV, as tables of text: records may span lines, and what is no record or no UTF-8 is set aside."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.contract import Table
from ringwatch.ingest.readers import Chunk, Malformed, brief, check_names, check_required, unknown_of
from ringwatch.ingest.sources import SourceFile
from ringwatch.ingest.streams import TextStream

_BLOCK = 16 << 20
# The stubs of pyarrow know neither the CSV reader's callbacks nor most kernels.
_kernels: Any = pc
_csv: Any = pyarrow.csv


def read_csv(_con: duckdb.DuckDBPyConnection, file: SourceFile, table: Table, limits: Limits) -> Iterator[Chunk]:
    """The rows of a CSV file; see `readers.read_chunks`."""
    rejected: list[tuple[int, str]] = []

    def reject(row: Any) -> str:
        rejected.append((row.number, row.text))
        return "skip"

    with TextStream(file, limits) as stream:
        names = _header(stream.first_line(), file)
        check_names(names, file, limits)
        check_required(set(names), file, table)
        unknown = unknown_of(names, table)
        lines = _LineCounter(stream)
        try:
            batches = _csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=_csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=max(_BLOCK, 2 * limits.line_bytes)
                ),
                parse_options=_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=reject),
                convert_options=_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=True, null_values=[""]
                ),
            )
            for batch in batches:
                rows, broken = _decoded(batch, *lines.number(batch, [number for number, _ in rejected]))
                yield Chunk(rows, broken, unknown)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise DataError(
                    f"{file.name} cannot be read as CSV after line {lines.last}.", hint="Check quotes and line ends."
                ) from error
        nothing = pa.table({name: pa.array([], pa.string()) for name in names})
        yield Chunk(nothing, [Malformed(number + 1, "malformed_row", text) for number, text in rejected], unknown)


def _decoded(
    batch: pa.RecordBatch, records: np.ndarray[Any, Any], lines: np.ndarray[Any, Any]
) -> tuple[pa.Table, list[Malformed]]:
    columns: list[Any] = []
    bad = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        try:
            columns.append(column.cast(pa.string()))
        except pa.ArrowInvalid:
            texts, wrong = decode(column)
            bad |= wrong
            columns.append(texts)
    rows = pa.table([*columns, pa.array(records), pa.array(lines)], names=[*batch.schema.names, "__row", "__line"])
    if not bad.any():
        return rows, []
    broken = []
    for row in rows.filter(pa.array(bad)).to_pylist():
        line = row.pop("__line")
        del row["__row"]
        text = json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False)
        broken.append(Malformed(line, "not_utf8", text))
    return rows.filter(pa.array(~bad)), broken


def decode(column: Any) -> tuple[Any, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Text of a binary column, with the bytes that are not UTF-8 replaced; and which rows have such."""
    texts: list[str | None] = []
    wrong = np.zeros(len(column), dtype=bool)
    for index, value in enumerate(column.to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            wrong[index] = True
            texts.append(value.decode("utf-8", errors="backslashreplace"))
    return pa.array(texts, pa.string()), wrong


def _header(line: bytes, file: SourceFile) -> list[str]:
    try:
        names = next(csv.reader([line.decode("utf-8")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The header of {file.name} cannot be read: {brief(error)}.") from error
    names = [name.strip() for name in names]
    if not any(names):
        raise DataError(f"{file.name} has no header.", hint="The first line of a CSV file names its columns.")
    return [name or f"unnamed_{index + 1}" for index, name in enumerate(names)]


class _LineCounter:
    """Line numbers of CSV records, which may span lines and have blank lines between them."""

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._records = 0
        self._extra = 0
        self.last = 1

    def number(self, batch: pa.RecordBatch, skipped: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Record numbers of the batch's rows (0-based) and the lines on which they begin. `skipped` has the numbers
        (from 1) of the records that the reader left out."""
        first, n = self._records, batch.num_rows
        inside = np.array([number - 1 for number in skipped if number - 1 >= first], dtype=np.int64)
        inside = inside[inside < first + n + len(inside)]
        span = np.ones(n + len(inside), dtype=bool)
        span[inside - first] = False
        records = first + np.flatnonzero(span)[:n]
        breaks = np.zeros(n, dtype=np.int64)
        for column in batch.columns:
            found = _kernels.fill_null(_kernels.count_substring(column, b"\n"), 0)
            breaks += found.to_numpy(zero_copy_only=False)
        before = self._extra + np.cumsum(breaks) - breaks
        lines = records + 2 + before
        self._records = int(records[-1]) + 1 if n else first
        self._extra += int(breaks.sum())
        blanks = np.asarray(self._stream.blank_lines, dtype=np.int64)
        if len(blanks) and not self._extra:
            # The i-th blank line pushes every record down that would otherwise stand at or after it.
            lines = lines + np.searchsorted(blanks - np.arange(len(blanks)), lines, side="right")
        self.last = int(lines[-1]) if n else self.last
        return records, lines
