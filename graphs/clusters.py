"""Clusters: communities with their strength, their reasons for and against, and a name that lasts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd

from ringwatch.graphs.abuse import Harm, abuse_probability, cluster_bits
from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.evidence import Model

MIN_SIZE = 3
ABUSE_LAYERS = ("harm", "label", "status")
"""Layers of evidence that say whether an operation is abusive; all others say whether it is one."""

MIN_BITS = 0.05
"""Evidence of less than this on average is not worth a sentence."""

OVERLAP = 0.5
"""A cluster keeps the id of an earlier one when they share more than half of the members of both together."""


@dataclass(frozen=True)
class Cluster:
    """One cluster of a run with all that is known of it; what a reviewer, an export or a notebook gets.

    `members`: account_id, membership, account_score. `edges`: src, dst, bits, layers. `evidence` and
    `counter_evidence`: layer, bits (mean over the cluster's pairs), text, entity, accounts. `entities`:
    account_id, type, token, count, first_seen, last_seen. `timeline`: day, events, harmful, refused.
    """

    cluster_id: str
    run_id: str
    digest: str
    size: int
    score: float
    bits: float
    coordination: float
    abuse: float | None
    layers: list[str]
    first_seen: pd.Timestamp | None
    last_seen: pd.Timestamp | None
    status: str
    members: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame
    counter_evidence: pd.DataFrame
    entities: pd.DataFrame
    timeline: pd.DataFrame


@dataclass(frozen=True)
class Found:
    """The clusters of a run as frames; columns as the run's tables have them (`pipeline.runs`)."""

    clusters: pd.DataFrame
    members: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame


def to_networkx(cluster: Cluster) -> nx.Graph:
    """The cluster as a graph: accounts and the entities that they share, edges with bits or counts.

    Account nodes carry `kind="account"`, `membership`, `score`; entity nodes `kind` (their type). Edges between
    accounts carry `bits` and `layers`, edges to entities `count`.
    """
    graph = nx.Graph(cluster_id=cluster.cluster_id, run_id=cluster.run_id, score=cluster.score)
    for row in cluster.members.itertuples(index=False):
        graph.add_node(row.account_id, kind="account", membership=row.membership, score=row.account_score)
    for row in cluster.edges.itertuples(index=False):
        graph.add_edge(row.src, row.dst, bits=row.bits, layers=",".join(row.layers))
    for row in cluster.entities.itertuples(index=False):
        graph.add_node(row.token, kind=row.type)
        graph.add_edge(row.account_id, row.token, count=row.count)
    return graph


def describe_clusters(
    accounts: AccountTable,
    model: Model,
    bits: FloatArray,
    stand: IntArray,
    community: IntArray,
    harm: Harm | None,
    previous: pd.DataFrame | None,
) -> Found:
    """Turns communities into scored, explained, named clusters of at least `MIN_SIZE` accounts.

    `stand` are the candidate pairs that communities were made of, `community` the community of each account.
    `previous` has cluster_id and account_id of the run before. Without `harm`, abuse is null and the score is the
    probability of coordination.
    """
    size = np.bincount(community[community >= 0], minlength=1)
    large = np.flatnonzero(size >= MIN_SIZE)
    number = np.full(len(size), -1, dtype=np.int64)
    number[large] = np.arange(len(large))
    cluster = np.where(community >= 0, number[community], -1)
    count = len(large)
    inside = stand[(cluster[model.first[stand]] >= 0) & (cluster[model.first[stand]] == cluster[model.second[stand]])]
    of_edge = cluster[model.first[inside]]
    membership = _membership(model, bits, inside, len(accounts))
    size = size[large]
    strength = np.bincount(of_edge, bits[inside], minlength=count) / np.maximum(
        np.bincount(of_edge, minlength=count), 1
    )
    belongs = np.bincount(cluster[cluster >= 0], membership[cluster >= 0], minlength=count) / np.maximum(size, 1)
    coordination = belongs * (1 - np.exp2(1.0 - size))
    if harm is None:
        abuse, harm_bits = np.full(count, np.nan), np.zeros(count)
        score = coordination
    else:
        harm_bits = cluster_bits(harm, cluster, count)
        abuse = abuse_probability(harm_bits)
        score = coordination * abuse
    names = accounts.ids
    frame = accounts.frame
    members = pd.DataFrame({"account": np.flatnonzero(cluster >= 0)})
    members["cluster"] = cluster[members["account"]]
    members["account_id"] = names[members["account"]]
    members["membership"] = membership[members["account"]].round(6)
    ids, status = _identify(members, count, previous)
    evidence, layers = _evidence(accounts, model, inside, of_edge, count)
    if harm is not None:
        evidence = pd.concat([evidence, _harm_evidence(frame, cluster, count, harm_bits)], ignore_index=True)
    seen = members.assign(
        first=frame["first_seen"].to_numpy()[members["account"]],
        last=frame["last_seen"].to_numpy()[members["account"]],
    ).groupby("cluster")
    clusters = pd.DataFrame(
        {
            "cluster_id": ids,
            "size": size,
            "score": score.round(6),
            "bits": strength.round(3),
            "coordination": coordination.round(6),
            "abuse": abuse.round(6),
            "layers": pd.Series(layers, dtype=object),
            "first_seen": _moments(seen["first"].min()),
            "last_seen": _moments(seen["last"].max()),
            "status": status,
        }
    )
    evidence["cluster_id"] = ids[evidence.pop("cluster").to_numpy(dtype=np.int64)]
    clusters["digest"] = _digests(clusters, members.assign(cluster_id=ids[members["cluster"]]), evidence)
    order = np.lexsort(
        (clusters["cluster_id"].to_numpy().astype(str), -strength * size, -clusters["score"].to_numpy())
    )
    members["cluster_id"] = ids[members["cluster"]]
    members["cluster_score"] = clusters["score"].to_numpy()[members["cluster"]]
    edges = pd.DataFrame(
        {
            "cluster_id": ids[of_edge],
            "src": names[model.first[inside]],
            "dst": names[model.second[inside]],
            "bits": bits[inside].round(3),
            "layers": pd.Series(edge_layers(model, inside), dtype=object),
        }
    )
    return Found(
        clusters.iloc[order].reset_index(drop=True),
        members[["cluster_id", "account_id", "cluster_score", "membership"]].reset_index(drop=True),
        edges,
        evidence[["cluster_id", "against", "layer", "bits", "text", "entity_layer", "entity", "accounts"]],
    )


def edge_layers(model: Model, pairs: IntArray) -> list[list[str]]:
    """The layers that speak for each pair, strongest first."""
    names: list[list[tuple[float, str]]] = [[] for _ in range(len(pairs))]
    for reason in model.explain(pairs):
        strong = reason.bits > MIN_BITS
        for position, worth in zip(reason.at[strong].tolist(), reason.bits[strong].tolist(), strict=True):
            names[position].append((-worth, reason.name))
    return [[name for _, name in sorted(found)] for found in names]


def _membership(model: Model, bits: FloatArray, inside: IntArray, n: int) -> FloatArray:
    """The chance that at least one of an account's edges inside its cluster is real (noisy or); float64[n]."""
    odds = np.exp2(np.clip(bits[inside], -60, 30))
    miss = -np.log1p(odds)
    total = np.bincount(model.first[inside], miss, minlength=n) + np.bincount(model.second[inside], miss, minlength=n)
    return np.asarray(-np.expm1(total))


def _identify(members: pd.DataFrame, count: int, previous: pd.DataFrame | None) -> tuple[np.ndarray, list[str]]:
    """Ids from content, or from the cluster of the run before that has mostly the same members."""
    ids = np.empty(count, dtype=object)
    for number, group in members.groupby("cluster")["account_id"]:
        ids[number] = "c" + hashlib.sha256("\n".join(sorted(group)).encode()).hexdigest()[:10]
    status = ["new"] * count
    if previous is None or previous.empty or count == 0:
        return ids, status
    both = members.merge(previous[["cluster_id", "account_id"]], on="account_id")
    shared = both.groupby(["cluster", "cluster_id"]).size().rename("shared").reset_index()
    now = members.groupby("cluster").size()
    then = previous.groupby("cluster_id").size()
    union = now[shared["cluster"]].to_numpy() + then[shared["cluster_id"]].to_numpy() - shared["shared"]
    shared["overlap"] = shared["shared"] / union
    # More than half of the union can be shared with one cluster only, so no id is given twice.
    for row in shared[shared["overlap"] > OVERLAP].itertuples(index=False):
        ids[row.cluster] = row.cluster_id
        status[row.cluster] = "known"
    return ids, status


def _evidence(
    accounts: AccountTable, model: Model, inside: IntArray, of_edge: IntArray, count: int
) -> tuple[pd.DataFrame, list[list[str]]]:
    """Reasons by cluster and layer, in bits a pair: they and the prior add up to the cluster's bits."""
    edges = np.maximum(np.bincount(of_edge, minlength=count), 1)
    rows = []
    for reason in model.explain(inside):
        name, text, kind, at, value, entity = (
            reason.name, reason.text, reason.kind, reason.at, reason.bits, reason.entity,
        )  # fmt: skip
        if len(at) == 0:
            continue
        part = pd.DataFrame({"cluster": of_edge[at], "bits": value, "entity": entity, "at": at})
        total = part.groupby("cluster")["bits"].agg(["sum", "size"])
        top = (
            part.sort_values(["cluster", "bits", "entity"], ascending=[True, False, True]).groupby("cluster").first()
        )
        who = pd.concat(
            [
                part[["cluster"]].assign(account=model.first[inside[at]]),
                part[["cluster"]].assign(account=model.second[inside[at]]),
            ]
        ).drop_duplicates()
        held = who.groupby("cluster").size()
        kinds = part.groupby("cluster")["entity"].nunique()
        frame = pd.DataFrame(
            {
                "cluster": total.index,
                "layer": name if kind != "absent" else f"no_{name}",
                "bits": (total["sum"] / edges[total.index]).round(3).to_numpy(),
                "pairs": total["size"].to_numpy(),
                "entity": np.where(kind == "shared", top["entity"].to_numpy(), -1),
                "entities": kinds.to_numpy(),
                "accounts": held.reindex(total.index).to_numpy(),
                "kind": kind,
                "subject": text,
            }
        )
        frame["share"] = frame["pairs"] / edges[frame["cluster"]]
        rows.append(frame[frame["bits"].abs() >= MIN_BITS])
    columns = ["cluster", "layer", "bits", "entity", "entities", "accounts", "kind", "subject", "share"]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)
    prior = pd.DataFrame({"cluster": np.arange(count), "layer": "prior", "bits": round(model.prior, 3)})
    prior["kind"], prior["subject"], prior["entity"], prior["accounts"] = "prior", "", -1, 0
    table = pd.concat([table, prior], ignore_index=True)
    table["against"] = table["bits"] < 0
    table["text"] = [_sentence(row) for row in table.itertuples(index=False)]
    table["entity_layer"] = np.where(table["entity"] >= 0, table["layer"], None)
    layers: list[list[str]] = [[] for _ in range(count)]
    strong = table[~table["against"]].sort_values(["cluster", "bits", "layer"], ascending=[True, False, True])
    for number, group in strong.groupby("cluster")["layer"]:
        layers[int(number)] = list(group)
    del accounts
    order = np.lexsort((table["layer"].to_numpy().astype(str), -table["bits"].abs().to_numpy(), table["cluster"]))
    return table.iloc[order].reset_index(drop=True), layers


def _sentence(row: object) -> str:
    kind = getattr(row, "kind")  # noqa: B009 (a row of itertuples has no static type)
    bits, subject = getattr(row, "bits"), getattr(row, "subject")  # noqa: B009
    if kind == "prior":
        return f"Of all pairs of accounts about one in 2^{-bits:.1f} has one operator ({bits:+.1f} bits)."
    share = f"{100 * getattr(row, 'share'):.0f} % of its linked pairs"  # noqa: B009
    if kind == "absent":
        return f"In {share} both have a {subject.replace('_', ' ')} record and nothing in common there ({bits:+.1f} bits)."
    if kind == "contrast":
        what = "are closer than chance" if bits > 0 else "are further apart than one operator's would be"
        return f"Over {share}, {subject} {what} ({bits:+.1f} bits a pair)."
    some = getattr(row, "entities")  # noqa: B009
    times = f", {some} different ones" if subject.startswith(("a", "o")) and some > 1 else ""
    people = getattr(row, "accounts")  # noqa: B009
    return f"{people} accounts share {subject}{times}; so do {share} ({bits:+.1f} bits a pair)."


def _harm_evidence(frame: pd.DataFrame, cluster: IntArray, count: int, bits: FloatArray) -> pd.DataFrame:
    inside = cluster >= 0
    sums = {
        name: np.bincount(cluster[inside], frame[name].to_numpy()[inside], minlength=count).astype(np.int64)
        for name in ("harmful", "refused", "judged")
    }
    with_harm = np.bincount(cluster[inside], frame["harmful"].to_numpy()[inside] > 0, minlength=count).astype(
        np.int64
    )
    text = [
        f"{harmful} of {judged} judged events were harmful or refused ({refused} refused), over {some} members "
        f"({worth:+.1f} bits for abuse)."
        for harmful, judged, refused, some, worth in zip(
            sums["harmful"], sums["judged"], sums["refused"], with_harm, bits, strict=True
        )
    ]
    return pd.DataFrame(
        {
            "cluster": np.arange(count), "against": bits < 0, "layer": "harm", "bits": bits.round(3), "text": text,
            "entity_layer": None, "entity": -1, "accounts": with_harm,
        }
    )  # fmt: skip


def _digests(clusters: pd.DataFrame, members: pd.DataFrame, evidence: pd.DataFrame) -> list[str]:
    """SHA-256 over account ids and evidence of each cluster; tokens have no part in it."""
    people = members.sort_values("account_id").groupby("cluster_id")["account_id"].agg("\n".join)
    said = evidence.assign(
        line=evidence["layer"] + " " + evidence["bits"].map("{:.3f}".format) + " " + evidence["text"]
    )
    reasons = said.sort_values("line").groupby("cluster_id")["line"].agg("\n".join)
    return [
        hashlib.sha256(f"{people[name]}\n\n{reasons.get(name, '')}".encode()).hexdigest()
        for name in clusters["cluster_id"]
    ]


def _moments(micros: pd.Series) -> pd.Series:
    return pd.to_datetime(micros, unit="us", utc=True).reset_index(drop=True)
