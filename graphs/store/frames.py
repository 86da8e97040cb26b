"""Frames at the door of a store: the Arrow types of the schema's columns, and every frame brought to them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ringwatch.errors import RingwatchError
from ringwatch.graphs.schema import EDGES, NODES, ColumnType, EdgeTable, NodeTable
from ringwatch.graphs.store.base import Changes

TIME = pa.timestamp("us", "UTC")
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": TIME,
    "strings": pa.list_(pa.string()),
}


def keys(table: NodeTable | EdgeTable) -> tuple[str, ...]:
    """The columns that identify a row of a frame."""
    return (table.key,) if isinstance(table, NodeTable) else ("src", "dst", *table.key)


def ends(table: NodeTable | EdgeTable) -> tuple[str, ...]:
    """The columns of a frame that are not properties of an edge; of a node, its key."""
    return (table.key,) if isinstance(table, NodeTable) else ("src", "dst")


def schema_of(table: NodeTable | EdgeTable) -> pa.Schema:
    """What `GraphStore.nodes` or `.edges` returns for this table."""
    named: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ends(table)]
    return pa.schema([*named, *((name, ARROW_TYPES[kind]) for name, kind in table.columns.items())])


def conform(frame: pa.Table, table: NodeTable | EdgeTable) -> pa.Table:
    """`frame` with the schema's types and order, in one piece; properties that it does not name stay out.

    Raises:
        RingwatchError: a column is unknown or of another type, or a key is missing or null.
    """
    name = table.label if isinstance(table, NodeTable) else table.type
    schema = schema_of(table)
    unknown = [column for column in frame.column_names if column not in schema.names]
    missing = [key for key in keys(table) if key not in frame.column_names or frame.column(key).null_count]
    if unknown or missing:
        raise RingwatchError(f"A frame of {name} has the unknown columns {unknown} or lacks the keys {missing}.")
    wanted = [field for field in schema if field.name in frame.column_names]
    try:
        return frame.select([field.name for field in wanted]).cast(pa.schema(wanted)).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise RingwatchError(f"A frame of {name} does not fit the graph's schema: {error}.") from error


def conforming(changes: Changes) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """The frames of `changes` that have rows, brought to the schema: by label, by edge type.

    Raises:
        RingwatchError: a label, type or column is unknown.
    """
    return _all(changes.nodes, NODES), _all(changes.edges, EDGES)


def _all(
    frames: Mapping[str, pa.Table], tables: Mapping[str, NodeTable] | Mapping[str, EdgeTable]
) -> dict[str, pa.Table]:
    unknown = [name for name in frames if name not in tables]
    if unknown:
        raise RingwatchError(f"The graph has no {unknown[0]}.", hint="Labels and edge types are in graphs/schema.py.")
    return {name: conform(frame, tables[name]) for name, frame in frames.items() if len(frame)}
