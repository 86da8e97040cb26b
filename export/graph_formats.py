"""GraphML and GEXF by networkx, for yEd, Gephi, Cytoscape and notebooks."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx
import pandas as pd
from networkx.readwrite.gexf import GEXFWriter

from ringwatch.export.json_format import records
from ringwatch.export.packet import Format, Packet
from ringwatch.export.text import escaped


def clean(value: Any) -> Any:
    """A value that both formats carry: lists become text, and characters that XML lacks escapes like `\\u0001`."""
    if isinstance(value, list):
        value = ";".join(value)
    return escaped(value) if isinstance(value, str) else value


def to_graph(packet: Packet) -> nx.Graph[str]:
    """The packet as an undirected graph: nodes with kind, membership and score, edges with type, bits, layers, count.

    Attributes that are missing are left out; all ids and values are clean.
    """
    head = packet.clusters
    graph: nx.Graph[str] = nx.Graph(
        clusters=clean(list(head["cluster_id"])),
        digests=";".join(head["digest"]),
        run_id=clean(";".join(sorted(set(head["run_id"])))),
    )
    for row in records(packet.nodes):
        name = clean(row.pop("id"))
        graph.add_node(name, **_attributes(row))
    for row in records(packet.edges):
        src, dst = clean(row.pop("src")), clean(row.pop("dst"))
        bits = row["bits"]
        # Layout programs read `weight`, and want it above zero.
        weight = max(float(bits), 0.01) if bits is not None else 1.0
        graph.add_edge(src, dst, weight=weight, **_attributes(row))
    return graph


def _attributes(row: dict[str, Any]) -> dict[str, Any]:
    return {name: clean(value) for name, value in row.items() if value is not None}


def _render_graphml(packet: Packet) -> dict[str, bytes]:
    out = io.BytesIO()
    nx.write_graphml_xml(to_graph(packet), out, encoding="utf-8", prettyprint=True, named_key_ids=True)
    return {"clusters.graphml": out.getvalue()}


def _render_gexf(packet: Packet) -> dict[str, bytes]:
    writer = GEXFWriter(encoding="utf-8", prettyprint=True, version="1.2draft")
    writer.add_graph(to_graph(packet))
    last = packet.clusters["last_seen"].max()
    for meta in writer.xml.iter("meta"):
        # networkx writes the day of the export here: the same cluster would not give the same bytes tomorrow.
        meta.attrib.pop("lastmodifieddate", None)
        if not pd.isna(last):
            meta.set("lastmodifieddate", last.strftime("%Y-%m-%d"))
    out = io.BytesIO()
    ET.indent(writer.xml)
    ET.ElementTree(writer.xml).write(out, encoding="utf-8", xml_declaration=True)
    return {"clusters.gexf": out.getvalue()}


GRAPHML = Format("graphml", folder=False, render=_render_graphml)
GEXF = Format("gexf", folder=False, render=_render_gexf)
