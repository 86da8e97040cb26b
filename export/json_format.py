"""One JSON document, `ringwatch.export/1`: clusters with what they are, then nodes, edges and evidence as records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ringwatch.export.packet import Format, Packet


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values: times as ISO-8601 text, lists as lists, whatever is missing as None."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            column = column.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        columns[name] = column.astype("object").tolist()
    return [
        {name: None if _missing(value) else value for name, value in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _render(packet: Packet) -> dict[str, bytes]:
    document = {
        "schema": "ringwatch.export/1",
        "clusters": records(packet.clusters),
        "nodes": records(packet.nodes),
        "edges": records(packet.edges),
        "evidence": records(packet.evidence),
    }
    return {"clusters.json": json_bytes(document)}


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as a file."""
    return f"{json.dumps(document, indent=1, allow_nan=False)}\n".encode()


JSON = Format("json", folder=False, render=_render)
