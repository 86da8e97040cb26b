"""CSV, as tables of text: records may span lines, and what is no record or no UTF-8 is set aside."""

from __future__ import annotations

import csv
import json
import re
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
from ringwatch.ingest.readers import Chunk, Malformed, check_names, check_required, unknown_of
from ringwatch.ingest.sources import SourceFile
from ringwatch.ingest.streams import BAD_BYTE, TextStream, unmarked

_BLOCK = 16 << 20
_ENOUGH = 1 << 20  # bytes to look through at once
# What follows an opening quote: a value that ends where a value can; one that ends on its line, with more behind it,
# which the reader takes as it is; (1) one that may yet end; (2) one that took other lines in before a quote ended it.
_QUOTED = re.compile(
    rb""""(?<![^,\r\n]")(?:[^"]*+(?:""[^"]*+)*+"(?=[,\r\n])|[^"\r\n]*+(?:""[^"\r\n]*+)*+"(?=[^"])"""
    rb"""|([^"]*+(?:""[^"]*+)*+"?\Z)|())"""
)
# The stubs of pyarrow know neither the CSV reader's callbacks nor most kernels.
_kernels: Any = pc
_csv: Any = pyarrow.csv


def read_csv(_con: duckdb.DuckDBPyConnection, file: SourceFile, table: Table, limits: Limits) -> Iterator[Chunk]:
    """The rows of a CSV file; see `readers.read_chunks`."""
    rejected: list[tuple[int, str]] = []

    def reject(row: Any) -> str:
        rejected.append((row.number, row.text))
        return "skip"

    with _QuotedStream(file, limits) as stream:
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
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
                ),
            )
            for batch in batches:
                records, at, broken = lines.number(batch.columns, batch.num_rows, rejected)
                rows, undecoded = _decoded(batch, records, at)
                yield Chunk(rows, broken + undecoded, unknown)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise DataError(
                    f"{file.name} cannot be read as CSV after line {lines.last}.", hint="Check quotes and line ends."
                ) from error
        nothing = pa.table({name: pa.array([], pa.string()) for name in names})
        yield Chunk(nothing, lines.number([], 0, rejected)[2], unknown)


def _decoded(
    batch: pa.RecordBatch, records: np.ndarray[Any, Any], lines: np.ndarray[Any, Any]
) -> tuple[pa.Table, list[Malformed]]:
    """The rows with their numbers, and those that are not UTF-8."""
    columns = [*batch.columns, pa.array(records), pa.array(lines)]
    rows = pa.table(columns, names=[*batch.schema.names, "__row", "__line"])
    bad = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        bad |= _kernels.fill_null(_kernels.match_substring(column, BAD_BYTE), False).to_numpy(zero_copy_only=False)
    if not bad.any():
        return rows, []
    broken = []
    for row in rows.filter(pa.array(bad)).to_pylist():
        line = row.pop("__line")
        del row["__row"]
        text = json.dumps({name: unmarked(value) for name, value in row.items() if value}, ensure_ascii=False)
        broken.append(Malformed(line, "not_utf8", text))
    return rows.filter(pa.array(~bad)), broken


def _header(line: bytes, file: SourceFile) -> list[str]:
    text = line.decode()
    try:
        names = [name.strip() for name in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        raise DataError(f"The header of {file.name} cannot be read: {error}.", hint="Check its quotes.") from error
    if BAD_BYTE in text:
        raise DataError(f"The header of {file.name} is not UTF-8.", hint="Convert the file to UTF-8.")
    if not any(names):
        raise DataError(f"{file.name} has no header.", hint="The first line of a CSV file names its columns.")
    return [name or f"unnamed_{index + 1}" for index, name in enumerate(names)]


class _QuotedStream(TextStream):
    """Text in which every quote is closed: the reader takes the end of the file for the end of a value, and with it
    all that stands between. Raises `DataError` also where one is not."""

    def _open(self) -> Iterator[bytes]:
        self._ends, held, enough = 0, b"\n", _ENOUGH
        for piece in super()._open():
            held += piece
            if len(held) >= enough:
                held = self._unclosed(held)
                enough = max(_ENOUGH, 2 * len(held))
            yield piece
        self._unclosed(held + b"\n", whole=True)

    def _unclosed(self, text: bytes, *, whole: bool = False) -> bytes:
        """The text from the byte before the first quote that may yet be closed, or its last byte. Its own first byte
        was seen before: here it only says whether a value begins behind it."""
        end = len(text) - 1
        for value in _QUOTED.finditer(text, 1):
            if value.lastindex:
                end = value.start() - 1
                if whole or value.lastindex == 2:
                    line = self._ends + text.count(b"\n", 0, value.start())
                    raise DataError(
                        f"{self._file.name}: a quote that begins on line {line} is never closed.",
                        hint="End the value with a quote, and write a quote inside it twice.",
                    )
                break
        self._ends += text.count(b"\n", 0, end)
        return text[end:]


class _LineCounter:
    """Line numbers of CSV records, which may span lines and have blank lines between them."""

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._records = 0
        self._extra = 0
        self._blanks: list[int] = []
        self._seen = 0
        self.last = 1

    def number(
        self, columns: list[Any], n: int, rejected: list[tuple[int, str]]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[Malformed]]:
        """Record numbers of a batch's n rows (0-based), the lines on which they begin, and what was left out up to
        them. That is taken out of `rejected`, the numbers (from 1) and texts that the reader has left out so far."""
        taken = 0
        while taken < len(rejected) and rejected[taken][0] - 1 <= self._records + n + taken:
            taken += 1
        total = n + taken
        good = np.ones(total, dtype=bool)
        good[[number - 1 - self._records for number, _ in rejected[:taken]]] = False
        breaks = np.zeros(total, dtype=np.int64)
        breaks[~good] = [text.count("\n") for _, text in rejected[:taken]]
        for column in columns:
            found = _kernels.fill_null(_kernels.count_substring(column, "\n"), 0)
            breaks[good] += found.to_numpy(zero_copy_only=False)
        records = self._records + np.arange(total, dtype=np.int64)
        starts = records + 2 + self._extra + np.cumsum(breaks) - breaks
        self._records += total
        self._extra += int(breaks.sum())
        # A blank line pushes down the record that would otherwise begin there; where none does, it is inside a value.
        for blank in self._stream.blank_lines[self._seen :]:
            at = blank - len(self._blanks)
            if not total or at > starts[-1]:
                break
            self._seen += 1
            if starts[np.searchsorted(starts, at)] == at:
                self._blanks.append(at)
        lines = starts + np.searchsorted(np.asarray(self._blanks, dtype=np.int64), starts, side="right")
        self.last = int(lines[-1]) if total else self.last
        broken = [
            Malformed(int(line), "malformed_row", unmarked(text))
            for line, (_, text) in zip(lines[~good], rejected[:taken], strict=True)
        ]
        del rejected[:taken]
        return records[good], lines[good], broken
