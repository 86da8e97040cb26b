"""From files to DuckDB relations: Parquet as a view with its own types, CSV and JSON Lines as tables of text.

Every relation has the file's columns and two of ours: `__row`, a number that tells its rows apart, and `__line`, the
line (Parquet: the row) that a report names. Rows that cannot be taken apart at all go to the table `malformed`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import literal, quoted
from ringwatch.ingest.sources import SourceFile
from ringwatch.ingest.streams import TextStream

FEATURE = re.compile(r"x_[A-Za-z0-9_]{1,62}\Z")
"""The names of numeric features; a column of another name is unknown."""

_BLOCK = 16 << 20
_LINES = 50_000
_NESTED = re.compile(r"\[|STRUCT|MAP|UNION|VARIANT", re.IGNORECASE)
# The stubs of pyarrow know neither the CSV reader's callbacks nor most kernels.
_kernels: Any = pc
_csv: Any = pyarrow.csv


@dataclass
class Source:
    """A loaded file. `types` are its columns (name → DuckDB type) without ours; `malformed` the rows that are not in
    the relation."""

    number: int
    file: SourceFile
    relation: str
    types: dict[str, str]
    rows: int = 0
    malformed: int = 0
    unknown: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        return self.rows + self.malformed

    @property
    def features(self) -> list[str]:
        return sorted(name for name in self.types if FEATURE.match(name))


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Makes the table that takes what no reader can take apart."""
    con.execute("CREATE TABLE malformed (source INTEGER, line BIGINT, reason VARCHAR, content VARCHAR)")


def load(con: duckdb.DuckDBPyConnection, file: SourceFile, number: int, table: Table, limits: Limits) -> Source:
    """Opens a file as a relation of `con`.

    Raises:
        DataError: the file cannot be read, passes a bound, lacks a required column, or names one twice.
    """
    relation = f"source_{number}"
    reader = {"parquet": _load_parquet, "csv": _load_csv, "jsonl": _load_jsonl}[file.format]
    source = reader(con, Source(number, file, relation, {}), table, limits)
    lacking = [name for name in table.required if name not in source.types]
    # An empty file of JSON Lines has no columns to lack.
    if lacking and (file.format != "jsonl" or source.read):
        raise DataError(
            f"{file.name} lacks the required column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}.",
            hint=f"Table {table.name} needs {', '.join(table.required)}.",
        )
    known = {column.name for column in table.columns}
    source.unknown += [name for name in source.types if name not in known and not FEATURE.match(name)]
    return source


def _check_names(names: list[str], file: SourceFile, limits: Limits) -> None:
    if len(names) > limits.columns:
        raise DataError(
            f"{file.name} has {len(names)} columns, more than the limit of {limits.columns}.",
            hint="Leave out the columns that are not in the contract, or raise limits.columns in ringwatch.toml.",
        )
    seen = {"__row": "", "__line": "", "__extra": ""}
    for name in names:
        # SQL does not tell capitals from small letters in names.
        other = seen.get(name.lower())
        if other is not None:
            what = "twice" if other == name else f"beside '{other}'" if other else "that is ours"
            raise DataError(f"{file.name} has a column '{name[:80]}' {what}.", hint="Give every column its own name.")
        seen[name.lower()] = name


# -- Parquet ----------------------------------------------------------------------------------------------


def _load_parquet(con: duckdb.DuckDBPyConnection, source: Source, table: Table, limits: Limits) -> Source:
    file = source.file
    try:
        with pq.ParquetFile(file.path) as parquet:
            metadata = parquet.metadata
            names = [str(name) for name in parquet.schema_arrow.names]
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            expanded = sum(group.total_byte_size for group in groups)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{file.name} cannot be read as Parquet: {_brief(error)}.", hint="Check that the file is whole."
        ) from error
    _check_names(names, file, limits)
    if expanded > limits.file_bytes or expanded > limits.compression_ratio * max(file.path.stat().st_size, 1 << 20):
        raise DataError(
            f"{file.name} grows to {expanded} bytes when decompressed, more than the limits allow.",
            hint="If it is honest, raise limits.compression_ratio or limits.file_bytes in ringwatch.toml.",
        )
    scan = f"read_parquet({literal(str(file.path.resolve()))}, file_row_number = true, binary_as_string = true,"
    scan += " hive_partitioning = false)"
    try:
        con.execute(
            f"CREATE TEMP VIEW {source.relation} AS SELECT * EXCLUDE (file_row_number),"
            f" file_row_number AS __row, file_row_number + 1 AS __line FROM {scan}"
        )
        described = con.execute(f"DESCRIBE {source.relation}").fetchall()
    except duckdb.Error as error:
        raise DataError(f"{file.name} cannot be read as Parquet: {_brief(error)}.") from error
    source.types = {row[0]: row[1] for row in described if row[0] not in ("__row", "__line")}
    source.rows = metadata.num_rows
    kinds = {column.name: column.kind for column in table.columns}
    for name, kind in source.types.items():
        if (name in kinds or FEATURE.match(name)) and kinds.get(name) not in ("json", "prompt") and _NESTED.search(kind):
            raise DataError(
                f"Column '{name}' of {file.name} holds nested values ({kind[:60]}).", hint="Give it plain values."
            )
    return source


def verify_parquet(sources: list[Source]) -> None:
    """Reads the Parquet files whole, to say which is damaged after a query has failed.

    Raises:
        DataError: one cannot be read.
    """
    for source in sources:
        if source.file.format == "parquet":
            try:
                with pq.ParquetFile(source.file.path) as parquet:
                    for batch in parquet.iter_batches():
                        batch.validate(full=True)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise DataError(
                    f"{source.file.name} cannot be read as Parquet: {_brief(error)}.",
                    hint="Check that the file is whole and its text is UTF-8.",
                ) from error


def _brief(error: BaseException) -> str:
    """The first line of a library's message, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


# -- CSV --------------------------------------------------------------------------------------------------


def _load_csv(con: duckdb.DuckDBPyConnection, source: Source, table: Table, limits: Limits) -> Source:  # noqa: ARG001
    file = source.file
    rejected: list[tuple[int, str]] = []

    def reject(row: Any) -> str:
        rejected.append((row.number, row.text))
        return "skip"

    with TextStream(file, limits) as stream:
        names = _header(stream.first_line(), file)
        _check_names(names, file, limits)
        _create(con, source, dict.fromkeys(names, "VARCHAR"))
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
            lines = _LineCounter(stream)
            for batch in batches:
                _insert_csv(con, source, batch, lines, rejected)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise DataError(
                    f"{file.name} cannot be read as CSV: {_brief(error)}.", hint="Check quotes and line ends."
                ) from error
        _insert_malformed(con, source, [(number + 1, "malformed_row", text) for number, text in rejected])
    return source


def _header(line: bytes, file: SourceFile) -> list[str]:
    try:
        names = next(csv.reader([line.decode("utf-8")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The header of {file.name} cannot be read: {_brief(error)}.") from error
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
        return records, lines


def _insert_csv(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    batch: pa.RecordBatch,
    lines: _LineCounter,
    rejected: list[tuple[int, str]],
) -> None:
    records, at = lines.number(batch, [number for number, _ in rejected])
    columns: list[Any] = []
    bad = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        try:
            columns.append(column.cast(pa.string()))
        except pa.ArrowInvalid:
            texts, wrong = _decode(column)
            bad |= wrong
            columns.append(texts)
    rows = pa.table(
        [*columns, pa.array(records), pa.array(at)], names=[*batch.schema.names, "__row", "__line"]
    )
    if bad.any():
        _insert_malformed(
            con,
            source,
            [(row.pop("__line"), "not_utf8", _row_json(row)) for row in rows.filter(pa.array(bad)).to_pylist()],
        )
        rows = rows.filter(pa.array(~bad))
    _insert(con, source, rows)


def _row_json(row: dict[str, Any]) -> str:
    row.pop("__row", None)
    return json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False)


def _decode(column: Any) -> tuple[Any, np.ndarray]:
    """Text of a binary column that is not all UTF-8, with the bytes that are not replaced; and which rows have such."""
    texts: list[str | None] = []
    wrong = np.zeros(len(column), dtype=bool)
    for index, value in enumerate(column.to_pylist()):
        if value is None:
            texts.append(None)
            continue
        try:
            texts.append(value.decode("utf-8"))
        except UnicodeDecodeError:
            wrong[index] = True
            texts.append(value.decode("utf-8", errors="backslashreplace"))
    return pa.array(texts, pa.string()), wrong


# -- JSON Lines -------------------------------------------------------------------------------------------


def _load_jsonl(con: duckdb.DuckDBPyConnection, source: Source, table: Table, limits: Limits) -> Source:
    known = [column.name for column in table.columns]
    _create(con, source, {**dict.fromkeys(known, "VARCHAR"), "__extra": "VARCHAR"})
    present: set[str] = set()
    features: list[str] = []
    unknown: set[str] = set()
    with TextStream(source.file, limits) as stream:
        for first, chunk in _line_batches(stream):
            rows = _json_rows(con, source, first, chunk, limits)
            if rows is None:
                continue
            con.register("json_lines", rows)
            keys = {
                row[0]
                for row in con.execute(
                    "SELECT DISTINCT unnest(json_keys(content)) FROM json_lines WHERE json_valid(content)"
                    " AND json_type(content) = 'OBJECT'"
                ).fetchall()
            }
            new = sorted(key for key in keys if FEATURE.match(key) and key not in features)
            for key in new:
                con.execute(f"ALTER TABLE {source.relation} ADD COLUMN {quoted(key)} VARCHAR")
            features += new
            unknown |= keys - set(known) - set(features)
            present |= keys & set(known)
            _check_names([*known, *features], source.file, limits)
            if len(unknown) + len(present) > limits.columns:
                raise DataError(
                    f"{source.file.name} has more than {limits.columns} different keys.",
                    hint="Leave out the keys that are not in the contract, or raise limits.columns in ringwatch.toml.",
                )
            _insert_json(con, source, known + features)
            con.unregister("json_lines")
    source.types = {name: "VARCHAR" for name in (*known, *features) if name in present or name in features}
    source.unknown = sorted(unknown)
    return source


def _insert_json(con: duckdb.DuckDBPyConnection, source: Source, names: list[str]) -> None:
    paths = ", ".join(literal(name) for name in names)
    picked = ", ".join(f"nullif(v[{index + 1}], '') AS {quoted(name)}" for index, name in enumerate(names))
    keys = ", ".join(literal(name) for name in names)
    added = con.execute(
        f"INSERT INTO {source.relation} BY NAME SELECT {picked}, line AS __row, line AS __line,"
        f" CASE WHEN len(list_filter(json_keys(content), k -> k NOT IN ({keys}))) > 0 THEN content END AS __extra"
        f" FROM (SELECT line, content, json_extract_string(content, [{paths}]) AS v FROM json_lines"
        " WHERE json_valid(content) AND json_type(content) = 'OBJECT')"
    ).fetchone()
    broken = con.execute(
        f"INSERT INTO malformed SELECT {source.number}, line, 'malformed_row', content FROM json_lines"
        " WHERE NOT (json_valid(content) AND json_type(content) = 'OBJECT')"
    ).fetchone()
    source.rows += added[0] if added else 0
    source.malformed += broken[0] if broken else 0


def _json_rows(
    con: duckdb.DuckDBPyConnection, source: Source, first: int, chunk: list[bytes], limits: Limits
) -> pa.Table | None:
    numbers = np.arange(first, first + len(chunk), dtype=np.int64)
    try:
        lines: Any = pa.array(chunk, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        lines, wrong = _decode(pa.array(chunk, pa.binary()))
        broken = [(int(number), "not_utf8", line) for number, line, bad in
                  zip(numbers, lines.to_pylist(), wrong, strict=True) if bad]
        _insert_malformed(con, source, broken)
        numbers, lines = numbers[~wrong], lines.filter(pa.array(~wrong))
    full = _kernels.not_equal(_kernels.utf8_trim_whitespace(lines), "")
    numbers, lines = numbers[full.to_numpy(zero_copy_only=False)], lines.filter(full)
    brackets = _kernels.add(_kernels.count_substring(lines, "{"), _kernels.count_substring(lines, "["))
    for index in np.flatnonzero(brackets.to_numpy(zero_copy_only=False) > limits.json_depth):
        if json_depth(lines[int(index)].as_py()) > limits.json_depth:
            raise DataError(
                f"Line {numbers[index]} of {source.file.name} nests JSON deeper than {limits.json_depth} levels.",
                hint="Write such a value as text, or raise limits.json_depth in ringwatch.toml.",
            )
    return pa.table([pa.array(numbers), lines], names=["line", "content"]) if len(lines) else None


def json_depth(text: str) -> int:
    """How deep arrays and objects of a JSON text nest; brackets inside strings do not count."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _line_batches(stream: TextStream) -> Iterator[tuple[int, list[bytes]]]:
    """Lists of lines, each with the number of its first line."""
    number, held = 1, b""
    ready: list[bytes] = []
    size = 0
    for piece in stream.chunks():
        lines = (held + piece).split(b"\n")
        held = lines.pop()
        if number == 1 and lines and not ready:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        ready += lines
        size += len(piece)
        if len(ready) >= _LINES or size >= _BLOCK:
            yield number, ready
            number, ready, size = number + len(ready), [], 0
    if held:
        ready.append(held.removeprefix(b"\xef\xbb\xbf") if number == 1 and not ready else held)
    if ready:
        yield number, ready


# -- both -------------------------------------------------------------------------------------------------


def _create(con: duckdb.DuckDBPyConnection, source: Source, types: dict[str, str]) -> None:
    source.types = types
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    con.execute(f"CREATE TABLE {source.relation} ({columns}, __row BIGINT, __line BIGINT)")


def _insert(con: duckdb.DuckDBPyConnection, source: Source, rows: pa.Table) -> None:
    if rows.num_rows:
        con.register("incoming", rows)
        con.execute(f"INSERT INTO {source.relation} BY NAME SELECT * FROM incoming")
        con.unregister("incoming")
    source.rows += rows.num_rows


def _insert_malformed(con: duckdb.DuckDBPyConnection, source: Source, rows: list[tuple[int, str, str]]) -> None:
    if rows:
        lines, reasons, contents = zip(*rows, strict=True)
        found = pa.table(
            {"line": pa.array(lines, pa.int64()), "reason": pa.array(reasons), "content": pa.array(contents)}
        )
        con.register("incoming", found)
        con.execute(f"INSERT INTO malformed SELECT {source.number}, line, reason, content FROM incoming")
        con.unregister("incoming")
    source.malformed += len(rows)
