"""A graph as the CSV files of `neo4j-admin database import full`: the fast way in for tens of millions of rows."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ringwatch.errors import DataError
from ringwatch.graphs.schema import EDGES, NODES, SCHEMA_VERSION, ColumnType, EdgeTable, NodeTable
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
"""Stands between the strings of a list. No layer's name has it."""


def write_import_files(changes: Changes, applied: Applied, folder: Path, workspace_id: str) -> tuple[list[Path], str]:
    """Writes a header and a gzip'd data file for every table with rows, and one for the node that makes the database
    this workspace's; returns the paths and the command that loads them.

    The database has no constraints yet: they come with the first `apply_schema`.

    Raises:
        DataError: a string of a list holds the unit separator, U+001F.
        RingwatchError: a frame does not fit the schema.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nodes, edges = conforming(changes)
    written: list[Path] = []
    options: list[str] = []
    for label, frame in nodes.items():
        node = NODES[label]
        header = [f"{node.key}:ID({label}){{id-type:string}}", *_properties(node, frame, {node.key})]
        options.append(f"--nodes={label}={_files(folder, label, header, frame, written)}")
    for edge_type, frame in edges.items():
        edge = EDGES[edge_type]
        header = [f":START_ID({edge.src})", f":END_ID({edge.dst})", *_properties(edge, frame, {"src", "dst"})]
        options.append(f"--relationships={edge_type}={_files(folder, edge_type, header, frame, written)}")
    options.append(f"--nodes={META}={_files(folder, META, *_meta(applied, workspace_id), written)}")
    settings = [
        r"--array-delimiter=U+001F",
        "--multiline-fields=true",
        "--legacy-style-quoting=false",
        "--quote='\"'",
    ]
    return written, " ".join(["neo4j-admin database import full neo4j --id-type=string", *settings, *options])


def _properties(table: NodeTable | EdgeTable, frame: pa.Table, ends: set[str]) -> list[str]:
    return [f"{name}:{_TYPES[table.columns[name]]}" for name in frame.column_names if name not in ends]


def _meta(applied: Applied, workspace_id: str) -> tuple[list[str], pa.Table]:
    lists = {"batches": applied.batches, "runs": applied.runs}
    present = {name: values for name, values in lists.items() if values}
    header = ["id:ID(RingwatchStore)", "workspace_id:string", "schema_version:long"]
    row = {"id": ["store"], "workspace_id": [workspace_id], "schema_version": [SCHEMA_VERSION]}
    return (
        [*header, *(f"{name}:string[]" for name in present)],
        pa.table({**row, **{name: pa.array([values], pa.list_(pa.string())) for name, values in present.items()}}),
    )


def _files(folder: Path, name: str, header: list[str], frame: pa.Table, written: list[Path]) -> str:
    top, data = folder / f"{name}-header.csv", folder / f"{name}.csv.gz"
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(header)
    top.write_text(out.getvalue(), encoding="utf-8")
    columns = [_text(frame.column(column), name) for column in frame.column_names]
    with gzip.open(data, "wb", compresslevel=1) as sink:
        pacsv.write_csv(
            pa.table(columns, names=frame.column_names), sink, pacsv.WriteOptions(include_header=False)
        )  # fmt: skip
    written += [top, data]
    return f"{top},{data}"


def _text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if column.type == TIME:
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(column.type):
        if pc.any(pc.match_substring(pc.list_flatten(column), _SEPARATOR)).as_py():
            raise DataError(f"A list of {name} holds a string with U+001F, which separates strings in import files.")
        return pc.binary_join(column, _SEPARATOR)
    return column
