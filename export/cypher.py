r"""A Cypher script for Neo4j 5.26 and later: the nodes and relationships of the contract, merged, a statement a line.

Text stands in single quotes. What acts is spelled `\uXXXX`, which Neo4j reads anywhere in a query before it parses;
for that reason no backslash of a text comes before a `u`: there the text is cut in two and added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ringwatch.export.packet import Format, Packet
from ringwatch.export.text import escaped
from ringwatch.graphs.resolve import INFERRED
from ringwatch.graphs.schema import ENTITY_NODES

_ROWS = 100
_INFERRED_NODES = {"prompt_family": "PromptFamily", "tool_chain": "ToolChain", "organization": "Organization"}
assert set(INFERRED) < set(_INFERRED_NODES)  # noqa: S101


def literal(value: Any) -> str:
    """A value as a Cypher literal."""
    if isinstance(value, str):
        return (
            "'"
            + "".join(part if number % 2 else _quoted(part) for number, part in enumerate(_spellings(value)))
            + "'"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    if isinstance(value, pd.Timestamp):
        return f"datetime('{value.isoformat()}')"
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


def _quoted(part: str) -> str:
    doubled = part.replace("\\", "\\\\").replace("'", "\\'")
    return doubled.replace("\\\\u", "\\\\' + 'u")


def _spellings(text: str) -> Iterator[str]:
    """Parts of a text, in turn as they are and as escapes of single characters."""
    start = 0
    for place, sign in enumerate(text):
        if sign != "\\" and escaped(sign) != sign:
            yield text[start:place]
            yield escaped(sign)
            start = place + 1
    yield text[start:]


def _node(kind: str) -> tuple[str, str]:
    """Label and key of a node of a kind."""
    if kind == "account":
        return "Account", "id"
    if kind in ENTITY_NODES:
        return ENTITY_NODES[kind][0], "token"
    if kind in _INFERRED_NODES:
        return _INFERRED_NODES[kind], "id"
    return "Entity", "token"


def _unwind(rows: Sequence[dict[str, Any]], then: str, *, of: Sequence[str]) -> Iterator[str]:
    """Statements that do `then` for every row, with `SET` for what `of` names and the row has."""
    given: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kept = {name: value for name, value in row.items() if isinstance(value, list) or not pd.isna(value)}
        given.setdefault(tuple(kept), []).append(kept)
    for names, some in given.items():
        said = [f"x.{name} = row.{name}" for name in of if name in names]
        ends = f" SET {', '.join(said)}" if said else ""
        for start in range(0, len(some), _ROWS):
            maps = ", ".join(
                "{" + ", ".join(f"{name}: {literal(value)}" for name, value in row.items()) + "}"
                for row in some[start : start + _ROWS]
            )
            yield f"UNWIND [{maps}] AS row {then}{ends};"


def _rows(frame: pd.DataFrame, *columns: str) -> list[dict[str, Any]]:
    values = zip(*(frame[name].astype(object).tolist() for name in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]


def _statements(packet: Packet) -> Iterator[str]:
    heads = packet.clusters
    columns = ("score", "bits", "abuse", "size", "status", "layers", "first_seen", "last_seen")
    clusters = _rows(heads.rename(columns={"cluster_id": "id"}), "id", *columns)
    yield from _unwind(clusters, "MERGE (x:Cluster {id: row.id})", of=columns)
    yield from _unwind(
        _rows(heads, "cluster_id", "run_id"),
        "MATCH (c:Cluster {id: row.cluster_id}) MERGE (x:Run {id: row.run_id}) MERGE (c)-[:OF_RUN]->(x)",
        of=(),
    )
    run_of = heads.set_index("cluster_id")["run_id"]
    kinds = packet.nodes.set_index("id")["kind"]
    for kind in sorted(set(kinds)):
        label, key = _node(kind)
        nodes = packet.nodes[packet.nodes["kind"] == kind]
        named = nodes.rename(columns={"id": key}).assign(type=kind)
        extra = ("type",) if label == "Entity" else ("score",) if label == "Account" else ()
        yield from _unwind(_rows(named, key, *extra), f"MERGE (x:{label} {{{key}: row.{key}}})", of=extra)
    accounts = packet.nodes[packet.nodes["kind"] == "account"]
    accounts = accounts.assign(run_id=accounts["cluster_id"].map(run_of))
    yield from _unwind(
        _rows(accounts, "id", "cluster_id", "run_id", "membership"),
        "MATCH (a:Account {id: row.id}), (c:Cluster {id: row.cluster_id})"
        " MERGE (a)-[x:IN_CLUSTER {run_id: row.run_id}]->(c)",
        of=("membership",),
    )
    edges = packet.edges.assign(kind=packet.edges["dst"].map(kinds))
    edges["run_id"] = edges["src"].map(accounts.set_index("id")["run_id"])
    for name, kind in sorted(set(zip(edges["type"], edges["kind"], strict=True))):
        part = edges[(edges["type"] == name) & (edges["kind"] == kind)]
        label, key = _node(kind)
        ends = f"MATCH (a:Account {{id: row.src}}), (b:{label} {{{key}: row.dst}})"
        if name == "COORDINATED_WITH":
            then = f"{ends} MERGE (a)-[x:{name} {{run_id: row.run_id}}]->(b)"
            yield from _unwind(_rows(part, "src", "dst", "run_id", "bits", "layers"), then, of=("bits", "layers"))
        else:
            seen = ("count", "first_seen", "last_seen")
            yield from _unwind(_rows(part, "src", "dst", *seen), f"{ends} MERGE (a)-[x:{name}]->(b)", of=seen)


def _render(packet: Packet) -> dict[str, bytes]:
    head = [
        "// A suspected network of accounts, for Neo4j 5.26 or later: cypher-shell --file FILE.",
        *(f"// digest {digest}" for digest in packet.clusters["digest"]),
    ]
    text = "\n".join([*head, *_statements(packet)]) + "\n"
    return {"clusters.cypher": text.encode()}


CYPHER = Format("cypher", folder=False, render=_render)
