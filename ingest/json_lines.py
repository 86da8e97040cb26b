"""JSON Lines, as tables of text: one object a line, taken apart by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import literal, quoted
from ringwatch.ingest.readers import FEATURE, Chunk, Malformed, check_names, check_required
from ringwatch.ingest.sources import SourceFile
from ringwatch.ingest.streams import BAD_BYTE, TextStream, unmarked

_BLOCK = 16 << 20
_LINES = 100_000
_kernels: Any = pc
# Not with AND, whose sides may be turned round: a type is asked only of what is JSON.
_OBJECT = "CASE WHEN json_valid(content) THEN json_type(content) = 'OBJECT' ELSE false END"


def read_jsonl(con: duckdb.DuckDBPyConnection, file: SourceFile, table: Table, limits: Limits) -> Iterator[Chunk]:
    """The rows of a file of JSON Lines; see `readers.read_chunks`."""
    known = [column.name for column in table.columns]
    seen: set[str] = set()
    objects = 0
    with TextStream(file, limits) as stream:
        for first, lines in _line_batches(stream):
            numbered, broken = _numbered(first, lines, limits)
            cursor = con.cursor()
            cursor.register("json_lines", numbered)
            keys = cursor.sql(
                f"SELECT DISTINCT unnest(json_keys(content)) FROM json_lines WHERE {_OBJECT}"
            ).fetchall()
            present = {row[0] for row in keys}
            seen |= present
            if len(seen) > limits.columns:
                raise DataError(
                    f"{file.name} has more than {limits.columns} different keys.",
                    hint="Leave out the keys that the contract does not have, or raise limits.columns.",
                )
            features = sorted(key for key in seen if FEATURE.match(key))
            names = [name for name in known if name in present or name in table.required] + [
                name for name in features if name in present
            ]
            check_names([*known, *features], file, limits)
            rows = cursor.sql(_taken_apart(names)).to_arrow_table()
            broken += [
                Malformed(line, "malformed_row", content)
                for line, content in cursor.sql(
                    f"SELECT line, content FROM json_lines WHERE NOT ({_OBJECT})"
                ).fetchall()
            ]
            cursor.close()
            objects += rows.num_rows
            yield Chunk(rows, broken, frozenset(present.difference(known, features)))
    if objects:  # an empty file has no columns to lack
        check_required(seen, file, table)


def _taken_apart(names: list[str]) -> str:
    paths = ", ".join(literal(name) for name in names)
    picked = ", ".join(f"nullif(v[{index + 1}], '') AS {quoted(name)}" for index, name in enumerate(names))
    return (
        f"SELECT {picked}, line AS __row, line AS __line, content AS __raw FROM"
        f" (SELECT line, content, json_extract_string(content, [{paths}]) AS v FROM json_lines WHERE {_OBJECT})"
    )


def _numbered(first: int, chunk: list[bytes], limits: Limits) -> tuple[pa.Table, list[Malformed]]:
    """Lines that are not blank with their numbers, and those that are no text or nest too deep."""
    numbers = np.arange(first, first + len(chunk), dtype=np.int64)
    lines: Any = pa.array(chunk, pa.binary()).cast(pa.string())
    wrong = _kernels.match_substring(lines, BAD_BYTE)
    broken = [
        Malformed(int(numbers[index]), "not_utf8", unmarked(lines[int(index)].as_py()))
        for index in np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
    ]
    if broken:
        right = _kernels.invert(wrong)
        numbers, lines = numbers[right.to_numpy(zero_copy_only=False)], lines.filter(right)
    full = _kernels.not_equal(_kernels.utf8_trim_whitespace(lines), "")
    numbers, lines = numbers[full.to_numpy(zero_copy_only=False)], lines.filter(full)
    brackets = _kernels.add(_kernels.count_substring(lines, "{"), _kernels.count_substring(lines, "["))
    deep = brackets.to_numpy(zero_copy_only=False) > limits.json_depth
    for index in np.flatnonzero(deep):
        text = lines[int(index)].as_py()
        deep[index] = json_depth(text) > limits.json_depth
        if deep[index]:  # the engine does not see it
            broken.append(Malformed(int(numbers[index]), "json_too_deep", text))
    if deep.any():
        numbers, lines = numbers[~deep], lines.filter(pa.array(~deep))
    return pa.table([pa.array(numbers), lines], names=["line", "content"]), broken


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
