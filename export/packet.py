"""A cluster as the tables that every format is made of: the suspect network, and the reasons for and against it.

The same cluster gives the same rows in the same order, whatever order it was loaded in, so that formats that write
what they are given write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ringwatch.graphs import Cluster
from ringwatch.graphs.schema import ENTITY_NODES

CLUSTER_COLUMNS = (
    "cluster_id", "run_id", "digest", "size", "score", "bits", "coordination", "abuse", "layers", "first_seen",
    "last_seen", "status",
)  # fmt: skip
NODE_COLUMNS = ("id", "kind", "cluster_id", "membership", "score")
EDGE_COLUMNS = ("src", "dst", "type", "bits", "layers", "count", "first_seen", "last_seen")
TIMELINE_COLUMNS = ("cluster_id", "day", "events", "harmful", "refused")
EVIDENCE_COLUMNS = ("cluster_id", "against", "layer", "bits", "text", "entity", "accounts")

_EDGE_TYPES = {name: edge for name, (_, edge) in ENTITY_NODES.items()} | {
    "prompt_family": "SENT",
    "tool_chain": "RAN",
    "organization": "MEMBER_OF",
}


@dataclass(frozen=True)
class Words:
    """What a reviewer said: when, who, what they did by it, and why."""

    time: str
    author: str
    what: str
    text: str


@dataclass(frozen=True)
class Reviewed:
    """What became of a cluster as a case: action by account, reason by excluded account, words in their order."""

    case_id: str
    state: str
    actions: Mapping[str, str]
    excluded: Mapping[str, str]
    words: tuple[Words, ...]


@dataclass(frozen=True)
class Packet:
    """What an export says of one or more clusters.

    `clusters`: CLUSTER_COLUMNS. `nodes`: NODE_COLUMNS, accounts (kind "account") with their cluster, membership and
    score, and the entities that they used (kind: the entity's type). `edges`: EDGE_COLUMNS, between ids of nodes:
    COORDINATED_WITH between accounts with bits and layers, the contract's edge types from accounts to entities with
    count, first_seen and last_seen. `evidence`: EVIDENCE_COLUMNS, `against` true for counter-evidence.
    `timeline`: TIMELINE_COLUMNS. `review`: what people have decided, where they have. `layers` are lists; what does
    not apply is null.
    """

    clusters: pd.DataFrame
    nodes: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame
    timeline: pd.DataFrame
    review: Reviewed | None = None


@dataclass(frozen=True)
class Format:
    """A way to write packets: `render` gives the bytes of each file by its name.

    `folder`: the output is a folder of these files; otherwise `render` gives one file, whose name is not used.
    """

    name: str
    folder: bool
    render: Callable[[Packet], dict[str, bytes]]


def make_packet(clusters: Sequence[Cluster], review: Reviewed | None = None) -> Packet:
    """The packet of some clusters of one run; an entity that several of them use is one node."""
    parts = sorted(clusters, key=lambda cluster: cluster.cluster_id)
    head = pd.DataFrame(
        [{name: getattr(part, name) for name in CLUSTER_COLUMNS} for part in parts], columns=list(CLUSTER_COLUMNS)
    )
    for name in ("score", "bits", "coordination", "abuse"):
        head[name] = head[name].astype("float64")
    for name in ("first_seen", "last_seen"):
        head[name] = _moments(head[name])
    taken = pd.concat([part.members["account_id"] for part in parts], ignore_index=True)
    uses = _uses(parts, set(taken))
    accounts = pd.concat(
        [
            part.members.assign(id=part.members["account_id"], kind="account", cluster_id=part.cluster_id).rename(
                columns={"account_score": "score"}
            )
            for part in parts
        ],
        ignore_index=True,
    )
    entities = uses[["dst", "kind"]].rename(columns={"dst": "id"}).drop_duplicates()
    nodes = _together([accounts, entities], NODE_COLUMNS)
    nodes = nodes.assign(entity=nodes["kind"] != "account").sort_values(["entity", "kind", "id"], kind="stable")
    edges = _together([_ties(parts), uses], EDGE_COLUMNS).sort_values(["type", "src", "dst"], kind="stable")
    edges["count"] = edges["count"].astype("Int64")
    for name in ("first_seen", "last_seen"):
        edges[name] = _moments(edges[name])
    return Packet(
        head,
        nodes[list(NODE_COLUMNS)].reset_index(drop=True),
        edges.reset_index(drop=True),
        _evidence(parts),
        _timeline(parts),
        review,
    )


def _ties(parts: Sequence[Cluster]) -> pd.DataFrame:
    """Edges between accounts, the lesser id first: they have no direction."""
    ties = pd.concat([part.edges[["src", "dst", "bits", "layers"]] for part in parts], ignore_index=True)
    swap = ties["src"] > ties["dst"]
    src, dst = ties["src"].mask(swap, ties["dst"]), ties["dst"].mask(swap, ties["src"])
    return ties.assign(src=src, dst=dst, layers=ties["layers"].map(list), type="COORDINATED_WITH")


def _uses(parts: Sequence[Cluster], taken: set[str]) -> pd.DataFrame:
    """Edges from accounts to entities; an entity that has the name of an account gets its kind in front."""
    uses = pd.concat([part.entities for part in parts], ignore_index=True)
    uses = uses[["account_id", "type", "token", "count", "first_seen", "last_seen"]]
    uses = uses.rename(columns={"account_id": "src", "token": "dst", "type": "kind"})
    # So do entities of two kinds that have one name.
    several = uses.groupby("dst")["kind"].transform("nunique") > 1
    uses["dst"] = uses["dst"].mask(uses["dst"].isin(taken) | several, uses["kind"] + ":" + uses["dst"])
    uses["type"] = uses["kind"].map(_EDGE_TYPES).fillna("LINKED_TO")
    return uses


def _evidence(parts: Sequence[Cluster]) -> pd.DataFrame:
    rows = [
        frame.assign(cluster_id=part.cluster_id, against=against)
        for part in parts
        for against, frame in ((False, part.evidence), (True, part.counter_evidence))
    ]
    table = _together(rows, EVIDENCE_COLUMNS)
    table["against"] = table["against"].astype("bool")
    table["accounts"] = table["accounts"].astype("Int64")
    order = table.assign(weight=-table["bits"].abs())
    order = order.sort_values(["cluster_id", "against", "weight", "layer", "text"], kind="stable")
    return order[list(EVIDENCE_COLUMNS)].reset_index(drop=True)


def _timeline(parts: Sequence[Cluster]) -> pd.DataFrame:
    days = _together([part.timeline.assign(cluster_id=part.cluster_id) for part in parts], TIMELINE_COLUMNS)
    days["day"] = _moments(days["day"])
    return days.sort_values(["cluster_id", "day"], kind="stable", ignore_index=True)


def _together(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Frames one below the other with these columns; what a frame lacks is null."""
    # Empty frames have no types to speak of and would make the others' columns objects.
    some = [frame.reindex(columns=list(columns)) for frame in frames if len(frame)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame(columns=list(columns))


def _moments(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values, utc=True).dt.as_unit("us")
