"""A graph as the CSV files of `neo4j-admin database import full`: the fast way in for tens of millions of rows."""

from __future__ import annotations

import gzip
import shlex
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ringwatch.errors import DataError
from ringwatch.graphs.schema import TABLES, ColumnType, NodeTable
from ringwatch.graphs.store.base import Applied, Changes
from ringwatch.graphs.store.frames import TIME, conforming
from ringwatch.graphs.store.migrations import META

_TYPES: dict[ColumnType, str] = {
    "string": "string",
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "time": "datetime",
    "strings": "string[]",
}
_SEPARATOR = "\x1f"
_COMMAND = "neo4j-admin database import full neo4j --id-type=string --array-delimiter=U+001F --multiline-fields=true"


def write_import_files(changes: Changes, applied: Applied, folder: Path, workspace_id: str) -> tuple[list[Path], str]:
    """Writes a header and a gzip'd data file for every table with rows, and for the node that makes the database this
    workspace's. Returns the paths, and the command that loads them.

    The importer makes no constraints: the database says that its schema is of version 0; `apply_schema` makes them.

    Raises:
        DataError: a string of a list holds U+001F, which separates strings in the files.
        RingwatchError: a frame does not fit the schema.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nodes, edges = conforming(changes)
    written: list[Path] = []
    options: list[str] = []
    for name, frame in (*nodes.items(), *edges.items()):
        table = TABLES[name]
        if isinstance(table, NodeTable):
            option, ends = "nodes", [f"{table.key}:ID({name})"]
        else:
            option, ends = "relationships", [f":START_ID({table.src})", f":END_ID({table.dst})"]
        columns = [f"{column}:{_TYPES[table.columns[column]]}" for column in frame.column_names[len(ends) :]]
        options.append(f"--{option}={name}={_files(folder, name, [*ends, *columns], frame, written)}")
    record: dict[str, Any] = {
        f"id:ID({META})": ["store"],
        "workspace_id:string": [workspace_id],
        "schema_version:long": [0],
        "batches:string[]": pa.array([applied.batches], pa.list_(pa.string())),
        "runs:string[]": pa.array([applied.runs], pa.list_(pa.string())),
    }
    options.append(f"--nodes={META}={_files(folder, META, list(record), pa.table(record), written)}")
    return written, " ".join([_COMMAND, *map(shlex.quote, options)])


def _files(folder: Path, name: str, header: list[str], frame: pa.Table, written: list[Path]) -> str:
    top, data = folder / f"{name}-header.csv", folder / f"{name}.csv.gz"
    top.write_text(",".join(header) + "\n", encoding="utf-8")
    columns: list[Any] = [_text(frame.column(column), name) for column in frame.column_names]
    with gzip.open(data, "wb", compresslevel=1) as sink:
        table = pa.table(columns, names=frame.column_names)
        pacsv.write_csv(table, cast(IO[Any], sink), pacsv.WriteOptions(include_header=False))
    written += [top, data]
    return f"{top},{data}"


def _text(column: pa.ChunkedArray[Any], name: str) -> Any:
    if column.type == TIME:
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(column.type):
        if pc.any(pc.match_substring(pc.list_flatten(column), _SEPARATOR)).as_py():
            raise DataError(
                f"A list of {name} holds a string with U+001F, which separates strings in import files.",
                hint="Load this graph by Bolt.",
            )
        return pc.binary_join(column, _SEPARATOR)
    return column
