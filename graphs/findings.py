"""A cluster and an organization as they are handed out: to reviewers, exports, notebooks. Needs none of what finds
them, so that who only reads a run does not wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, kw_only=True)
class _Assessed:
    """What clusters and organizations are judged by alike."""

    run_id: str
    score: float
    bits: float
    coordination: float
    abuse: float | None
    layers: list[str]
    first_seen: pd.Timestamp | None
    last_seen: pd.Timestamp | None
    members: pd.DataFrame
    evidence: pd.DataFrame
    counter_evidence: pd.DataFrame
    timeline: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Cluster(_Assessed):
    """One cluster of a run with all that is known of it; what a reviewer, an export or a notebook gets.

    `members`: account_id, membership, account_score. `edges`: src, dst, bits, layers. `evidence` and
    `counter_evidence`: layer, bits (mean over the cluster's pairs), text, entity, accounts. `entities`:
    account_id, type, token, count, first_seen, last_seen. `timeline`: day, events, harmful, refused. `lineage`:
    from_cluster_id, kind, shared, size, before; what it comes from in the run before. `organization_id`: the
    organization that it is a part of, where there is one.
    """

    cluster_id: str
    digest: str
    size: int
    status: str
    edges: pd.DataFrame
    entities: pd.DataFrame
    lineage: pd.DataFrame = field(default_factory=pd.DataFrame)
    organization_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Organization(_Assessed):
    """One organization of a run with all that is known of it.

    `parts`: cluster_id, size, score, bits, abuse, judged, harmful, refused, customer. `ties`: src, dst, bits, layers.
    `evidence` and `counter_evidence`: layer, bits (mean over the ties), text, entity, accounts. `members`:
    account_id, cluster_id, membership, account_score. `outsiders`, accounts that are in no cluster: account_id,
    layer, entity, account_score. `timeline`: day, events, harmful, refused, of its clusters together.
    """

    organization_id: str
    clusters: list[str]
    accounts: int
    parts: pd.DataFrame
    ties: pd.DataFrame
    outsiders: pd.DataFrame


def to_networkx(cluster: Cluster) -> nx.Graph[str]:
    """The cluster as a graph: accounts and the entities that they share, edges with bits or counts.

    Account nodes carry `kind="account"`, `membership`, `score`; entity nodes `kind` (their type). Edges between
    accounts carry `bits` and `layers`, edges to entities `count`.
    """
    import networkx as nx  # which a run does not need

    graph: nx.Graph[str] = nx.Graph(cluster_id=cluster.cluster_id, run_id=cluster.run_id, score=cluster.score)
    members, edges, entities = cluster.members, cluster.edges, cluster.entities
    for account, membership, score in _rows(members, "account_id", "membership", "account_score"):
        graph.add_node(account, kind="account", membership=membership, score=score)
    for src, dst, bits, layers in _rows(edges, "src", "dst", "bits", "layers"):
        graph.add_edge(src, dst, bits=bits, layers=",".join(layers))
    known = set(graph)
    for account, kind, token, count in _rows(entities, "account_id", "type", "token", "count"):
        if token not in known:  # the root of a tree of referrals is an account itself
            graph.add_node(token, kind=kind)
        graph.add_edge(account, token, count=count)
    return graph


def _rows(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[name].tolist() for name in columns), strict=True)
