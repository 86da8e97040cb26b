"""Folders of tables, a file each for clusters, nodes, edges and evidence: Parquet, and CSV safe in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.export.packet import Format, Packet
from ringwatch.export.text import escaped

_RUNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A cell that begins with one of these is a formula to some spreadsheet (the last four where full-width is typed). So
are tabs and line breaks, which are spelled out anyway."""

_README = """\
An account network exported by ringwatch.

Clusters (digest):
{clusters}

clusters.csv   what each cluster is: its strength in bits, its score, the layers that hold it together
nodes.csv      accounts (kind "account") and the entities that they used (kind: the entity's type; id: its token)
edges.csv      src and dst are ids of nodes.csv; COORDINATED_WITH has bits and layers, others counts and times
evidence.csv   the reasons in bits; where "against" is true they speak against the cluster

UTF-8, comma-separated, first row the names, times in UTC, lists separated by semicolons, an empty cell is no value.
A text cell that a spreadsheet could run (it begins with = + - @ or their full-width forms) has an apostrophe (') in
front of it, and so has a text cell that begins with an apostrophe: take one off to have the original. Control
characters and those that turn the direction of writing are spelled \\uXXXX (and a backslash before such a spelling
\\u005c). Numbers are left as they are.
"""


def _tables(packet: Packet) -> dict[str, pd.DataFrame]:
    return {
        "clusters": packet.clusters,
        "nodes": packet.nodes,
        "edges": packet.edges,
        "evidence": packet.evidence,
    }


def safe_cell(text: str) -> str:
    """Text that no spreadsheet runs and no reader is misled by: what acts is spelled out (`export.text`), and it has
    one leading apostrophe more where it begins with what could run, or with one."""
    text = escaped(text)
    return f"'{text}" if text.startswith((*_RUNS, "'")) else text


def safe_table(frame: pd.DataFrame) -> bytes:
    """A frame as CSV whose texts run in no spreadsheet; times in UTC, lists by semicolons, nothing for a null."""
    shown = frame.copy()
    for name in shown.columns:
        column = shown[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            shown[name] = column.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        elif name == "layers":
            shown[name] = column.map(lambda names: safe_cell(";".join(names)), na_action="ignore")
        elif not pd.api.types.is_numeric_dtype(column):
            shown[name] = column.map(lambda value: safe_cell(str(value)), na_action="ignore")
    text = shown.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC, na_rep="")
    return text.encode()


def _render_csv(packet: Packet) -> dict[str, bytes]:
    heads = packet.clusters
    lines = [
        f"  {safe_cell(name)}  {digest}" for name, digest in zip(heads["cluster_id"], heads["digest"], strict=True)
    ]
    files = {f"{name}.csv": safe_table(frame) for name, frame in _tables(packet).items()}
    return files | {"README.txt": _README.format(clusters="\n".join(lines)).encode()}


_TYPES: dict[str, pa.DataType] = {
    "size": pa.int64(), "score": pa.float64(), "bits": pa.float64(), "coordination": pa.float64(),
    "abuse": pa.float64(), "layers": pa.list_(pa.string()), "first_seen": pa.timestamp("us", "UTC"),
    "last_seen": pa.timestamp("us", "UTC"), "membership": pa.float64(), "count": pa.int64(), "against": pa.bool_(),
    "accounts": pa.int64(),
}  # fmt: skip
"""Types of columns that are not text, so that a column of nulls has its type too."""


def _render_parquet(packet: Packet) -> dict[str, bytes]:
    files = {}
    for name, frame in _tables(packet).items():
        schema = pa.schema([(column, _TYPES.get(column, pa.string())) for column in frame.columns])
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        files[f"{name}.parquet"] = out.getvalue()
    return files


CSV = Format("csv", folder=True, render=_render_csv)
PARQUET = Format("parquet", folder=True, render=_render_parquet)
