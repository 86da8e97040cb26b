"""Finding the files of a drop. What is not a table's file is named in a warning and left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.contract import TABLE_NAMES

Format = Literal["parquet", "csv", "jsonl"]
Compression = Literal["", "gz", "zst"]

_SUFFIX = re.compile(r"(?P<stem>.+?)\.(?P<format>parquet|csv|jsonl|ndjson)(\.(?P<compression>gz|zst))?\Z")
_STEM = re.compile(rf"(?P<table>{'|'.join(TABLE_NAMES)})(?:[-.].*)?\Z")
_NAMED_IN_WARNING = 8


@dataclass(frozen=True)
class SourceFile:
    """A file of one table. `name` is its path within the drop, which is how reports speak of it."""

    path: Path
    name: str
    table: str
    format: Format
    compression: Compression


def find_sources(sources: Sequence[Path], limits: Limits) -> tuple[list[SourceFile], list[str]]:
    """The files of the drop, in the order of table and name, and the warnings.

    Raises:
        DataError: a path does not exist, a file is larger than the limit, or there is no table's file at all.
    """
    found: dict[Path, SourceFile] = {}
    others: list[str] = []
    for source in sources:
        if source.is_dir():
            taken, left = _folder(source)
        elif source.is_file():
            file = _file(source, source.name, None)
            taken, left = ([file], []) if file else ([], [source.name])
        else:
            raise DataError(f"{source} does not exist, or is no file or folder.", hint="Check the path of the drop.")
        others += left
        for file in taken:
            found.setdefault(file.path.resolve(), file)
    if not found:
        named = ", ".join(str(source) for source in sources)
        raise DataError(
            f"There is no table in {named}.",
            hint=f"Name files after a table ({', '.join(TABLE_NAMES)}), as .parquet, .csv or .jsonl.",
        )
    for file in found.values():
        size = file.path.stat().st_size
        if size > limits.file_bytes:
            raise DataError(
                f"{file.name} has {size} bytes, more than the limit of {limits.file_bytes}.",
                hint="Split the file, or raise limits.file_bytes in ringwatch.toml.",
            )
    order = {table: number for number, table in enumerate(TABLE_NAMES)}
    return sorted(found.values(), key=lambda file: (order[file.table], file.name)), list(_warnings(others))


def _folder(root: Path) -> tuple[list[SourceFile], list[str]]:
    taken: list[SourceFile] = []
    left: list[str] = []
    if root.resolve().name == "truth":  # what an evaluation knows must not become input
        return taken, left
    for path in sorted(root.iterdir()):
        if path.is_dir():
            if path.name in TABLE_NAMES:
                for inner in sorted(path.iterdir()):
                    file = _file(inner, f"{path.name}/{inner.name}", path.name) if inner.is_file() else None
                    if file:
                        taken.append(file)
                    else:
                        left.append(f"{path.name}/{inner.name}")
            elif path.name != "truth":
                left.append(f"{path.name}/")
            continue
        file = _file(path, path.name, None) if path.is_file() else None
        if file:
            taken.append(file)
        else:
            left.append(path.name)
    return taken, left


def _file(path: Path, name: str, table: str | None) -> SourceFile | None:
    match = _SUFFIX.match(path.name)
    if match is None or (match["format"] == "parquet" and match["compression"]):
        return None
    if table is None:
        stem = _STEM.match(match["stem"])
        if stem is None:
            return None
        table = stem["table"]
    form: Format = "parquet" if match["format"] == "parquet" else "csv" if match["format"] == "csv" else "jsonl"
    compression: Compression = "gz" if match["compression"] == "gz" else "zst" if match["compression"] else ""
    return SourceFile(path, name, table, form, compression)


def _warnings(others: list[str]) -> Iterable[str]:
    if others:
        shown = ", ".join(others[:_NAMED_IN_WARNING])
        more = f" and {len(others) - _NAMED_IN_WARNING} more" if len(others) > _NAMED_IN_WARNING else ""
        yield f"Not read, because they are no tables of a drop: {shown}{more}."
