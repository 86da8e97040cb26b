"""What a graph is in one line: a digest over its evidence, equal for equal graphs in either store, and its counts."""

from __future__ import annotations

import hashlib

import duckdb
import pyarrow as pa

from ringwatch.graphs.schema import NODES, TABLES
from ringwatch.graphs.store.base import GraphStore
from ringwatch.graphs.store.frames import schema_of

_THREADS = 2


def graph_digest(store: GraphStore) -> str:
    """SHA-256, in hex, of the evidence in a store. What a run inferred is left out.

    For each table the rows are counted and their 128-bit hashes are added up, so that their order does not matter and
    a row that stands twice does.
    """
    whole = hashlib.sha256()
    counts = store.counts()
    for name, table in TABLES.items():
        if table.evidence and counts[name]:
            frame = store.nodes(name) if name in NODES else store.edges(name)
            left_out = NODES[name].inferred if name in NODES else ()
            columns = [column for column in schema_of(table).names if column not in left_out]
            whole.update(f"{name}:{_summary(frame.select(columns))}\n".encode())
    return whole.hexdigest()


def _summary(frame: pa.Table) -> str:
    # The length before each value keeps apart what would run together; no value begins with '-'.
    parts = [f"coalesce(strlen(v{i}) || ':' || v{i}, '-')" for i in range(frame.num_columns)]
    texts = [f'"{column}"::VARCHAR AS v{i}' for i, column in enumerate(frame.column_names)]
    with duckdb.connect(config={"threads": _THREADS}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("frame", frame)
        row = con.execute(
            f"""SELECT count(*), sum(md5_number_lower(r)), sum(md5_number_upper(r))
                FROM (SELECT concat({", ".join(parts)}) AS r FROM (SELECT {", ".join(texts)} FROM frame))"""
        ).fetchone()
    return " ".join(map(str, row or ()))
