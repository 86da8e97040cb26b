"""What a store of the graph must do. The two implementations are held to it by one suite, `tests/contract`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Changes:
    """What to write: frames by node label and by edge type, with the columns of `graphs.schema`.

    A row whose key is stored already replaces the properties it names (absolute values, never increments), so that
    writing the same changes twice has no effect. `replace` names labels and edge types of which nothing older stays;
    `drop_runs` names runs that go, with their clusters and the edges that carry their `run_id`.
    """

    nodes: Mapping[str, pa.Table] = field(default_factory=dict)
    edges: Mapping[str, pa.Table] = field(default_factory=dict)
    replace: tuple[str, ...] = ()
    drop_runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What a store holds: which batches and runs, by which version of the schema (0: no schema yet)."""

    batches: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    schema_version: int = 0


@dataclass(frozen=True)
class Result:
    """Rows of a query. `truncated` says that there were more than the limit."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = False


class GraphStore(Protocol):
    """The graph database of one workspace.

    Every method raises `UnavailableError` where the store cannot be reached. Frames are columnar both ways; times are
    `timestamp[us, UTC]`.
    """

    name: str

    def apply_schema(self) -> list[str]:
        """Brings the schema to `SCHEMA_VERSION`; returns the names of the migrations that it ran."""

    def applied(self) -> Applied:
        """What is stored."""

    def write(self, changes: Changes, applied: Applied) -> None:
        """Upserts nodes, then edges (both ends must be stored or in `changes`), then records `applied`, last."""

    def nodes(self, label: str) -> pa.Table:
        """All nodes of a label: its key and columns, in no order."""

    def edges(self, edge_type: str) -> pa.Table:
        """All edges of a type: `src`, `dst` and its columns, in no order."""

    def counts(self) -> dict[str, int]:
        """Rows by node label and edge type, those of 0 included."""

    def query(
        self, cypher: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 1000, timeout: float = 30.0
    ) -> Result:
        """Runs a read-only query; at most `limit` rows, at most `timeout` seconds (`PolicyError` beyond)."""

    def plan(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[str]:
        """How the store would run a query, an operator a line, the last one first. Runs nothing."""

    def close(self) -> None:
        """Lets go of files and connections."""
