"""Features of accounts from what a run gathered: themselves, their ties, and the layers that tie them.

Every feature is what the attached views show, so what was known at `--as-of`. None reads a label or a `status`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import numpy as np
import scipy.sparse as sp
from scipy.special import logit

from ringwatch.gnn.graph import Direct, Float32, FloatArray, Graph, IntArray, Relation, Through
from ringwatch.graphs import Gathered, Incidence, Model
from ringwatch.graphs.accounts import DAY, ranked
from ringwatch.graphs.clusters import Formed, judge_clusters, mean_bits
from ringwatch.graphs.detection import untouched
from ringwatch.graphs.layers import Relation as Recorded
from ringwatch.graphs.learning import probability
from ringwatch.metrics import Stopwatch

LEAST_TIE = 1e-3
"""A candidate pair of a smaller chance to be one operator's ties nobody."""

PLANS = 6
"""The most frequent so many plans are columns of their own."""

CHUNK = 8192
"""Rows worked on at a time where a pass over all would leave the cache."""

BASE_RANGE = 1e-5
"""A chance nearer to 0 or 1 than this is not believed."""


@dataclass(frozen=True)
class Evidence:
    """What detection finds without any label, as arrays.

    By account: `score`, `cluster` (-1: none of three or more), `membership`. By cluster: `coordination`, `abuse` (NaN
    without harm evidence), `size`, `strength` (mean bits of its edges). `bits` are those of the model's pairs.
    """

    bits: FloatArray
    score: FloatArray
    cluster: IntArray
    membership: FloatArray
    coordination: FloatArray
    abuse: FloatArray
    size: FloatArray
    strength: FloatArray


def unsupervised(gathered: Gathered, model: Model, *, seed: int) -> Evidence:
    """What a run says of accounts and clusters when it uses no label, status or model."""
    bits = model.bits()
    return evidence_of(gathered, model, bits, *untouched(gathered, model, bits, seed=seed, watch=Stopwatch()))


def evidence_of(gathered: Gathered, model: Model, bits: FloatArray, formed: Formed, score: FloatArray) -> Evidence:
    """The same from what a run has formed already; `score` is what no verdict has touched."""
    accounts, count = gathered.accounts, len(formed)
    known = accounts.harm_known
    abuse = judge_clusters(accounts, formed, gathered.harm).probability if known else np.full(count, np.nan)
    return Evidence(
        bits, score, formed.cluster, formed.membership, formed.coordination, abuse, formed.size.astype(np.float64),
        mean_bits(model, bits, formed),
    )  # fmt: skip


def build_graph(con: duckdb.DuckDBPyConnection, gathered: Gathered, model: Model, evidence: Evidence) -> Graph:
    """Features, relations and base of every account. Needs `ix` and `ev`, as `gather` leaves them."""
    n = len(gathered.accounts)
    ties, strength = tie_graph(model, evidence.bits, n)
    through = [_through(incidence, model, gathered, n) for incidence in gathered.shared]
    direct = [relation for kind in gathered.relations for relation in _directed(kind, n)]
    own = _own(con, gathered)
    columns = {
        **own,
        **_evidence(gathered, evidence, ties, strength),
        **_groups(model, evidence.bits, n),
        **_layers(gathered.shared, n),
    }
    base = logit(np.clip(evidence.score, BASE_RANGE, 1 - BASE_RANGE))
    others: list[Relation] = [*direct, *through]
    columns["base"] = base
    names = tuple(columns)
    features = (
        np.column_stack([columns[name] for name in names]).astype(np.float32) if n else np.zeros((0, len(names)))
    )
    core = tuple(names.index(name) for name in CORE if name in names)
    return Graph(
        gathered.accounts.ids, features.astype(np.float32), names,
        (ties, _clusters(evidence, n), *(one for one in others if one.degree.any())), base, core, len(own),
        carriers=2,
    )  # fmt: skip


CORE = (
    "base", "harm_bits", "harm_rate", "log_events", "created_rank", "hosted", "log_span", "tie_sum",
    "cluster_log_size", "log_prompts", "log_ip",
)  # fmt: skip
"""Features whose means over neighbours are worth having."""


def tie_graph(model: Model, bits: FloatArray, accounts: int) -> tuple[Direct, FloatArray]:
    """Candidate pairs as a relation, each as heavy as its chance to be real; and each account's best bits."""
    tie = probability(bits)
    keep = tie > LEAST_TIE
    first, second, tie = model.first[keep], model.second[keep], tie[keep].astype(np.float32)
    matrix = sp.csr_matrix(
        (np.r_[tie, tie], (np.r_[first, second], np.r_[second, first])), shape=(accounts, accounts)
    )
    best = np.full(accounts, float(model.prior))
    np.maximum.at(best, model.first, bits)
    np.maximum.at(best, model.second, bits)
    return Direct("tie", matrix), best


def _clusters(evidence: Evidence, accounts: int) -> Through:
    """Members of one cluster, each as heavy as it has mates that are its operator's."""
    member = np.flatnonzero(evidence.cluster >= 0)
    mates = evidence.coordination * np.maximum(evidence.size - 1, 0)
    known = np.column_stack(
        [np.log1p(evidence.size), evidence.coordination, np.nan_to_num(evidence.abuse), evidence.strength]
    )
    return Through("cluster", member, evidence.cluster[member], mates, accounts, known.astype(np.float32))


def _through(incidence: Incidence, model: Model, gathered: Gathered, n: int) -> Through:
    """A layer as a relation: an entity is worth log2(m / u) bits, u its frequency or what is known of its kind."""
    learnt = {layer.name: layer.m for layer in model.shared}
    users = incidence.degree
    u = np.maximum(users / max(n, 1), incidence.floor)
    worth = np.maximum(np.log2(learnt.get(incidence.spec.name, incidence.spec.m) / np.maximum(u, 1e-12)), 0.0)
    harm = gathered.harm.posterior[incidence.account]
    mean_harm = np.bincount(incidence.entity, harm, minlength=len(users)) / np.maximum(users, 1)
    last = np.full(len(users), -np.inf)
    np.maximum.at(last, incidence.entity, np.nan_to_num(incidence.last, nan=-np.inf))
    newest = last.max(initial=-np.inf)

    def age(at: FloatArray) -> FloatArray:
        """Logarithm of the days from a moment to the newest one of the layer; NaN where unknown."""
        return np.asarray(np.log1p((newest - np.where(np.isfinite(at), at, np.nan)) / DAY))

    known = np.column_stack([np.log1p(users), worth, incidence.floor > 0, mean_harm, np.nan_to_num(age(last))])
    seen = np.column_stack([np.log1p(incidence.count), age(incidence.last)]).astype(np.float32)
    return Through(incidence.spec.name, incidence.account, incidence.entity, worth, n, known.astype(np.float32), seen)


def _directed(relation: Recorded, n: int) -> list[Direct]:
    weight = np.log1p(relation.count).astype(np.float32)
    out = sp.csr_matrix((weight, (relation.src, relation.dst)), shape=(n, n))
    name = relation.spec.name
    return [Direct(f"{name}_to", out), Direct(f"{name}_from", out.T.tocsr())]


def _own(con: duckdb.DuckDBPyConnection, gathered: Gathered) -> dict[str, FloatArray]:
    """What an account's own rows say of it."""
    accounts = gathered.accounts
    given = {name: ranked(accounts.frame[name].to_numpy(dtype=np.float64)).rank for name in accounts.features}
    return {**_course(gathered), **_activity(con), **_amounts_and_plan(con), **given}


def _course(gathered: Gathered) -> dict[str, FloatArray]:
    """When an account came, how much it did, and what harm."""
    frame = gathered.accounts.frame
    number = {name: frame[name].to_numpy(dtype=np.float64) for name in ("events", "judged", "harmful", "refused")}
    first, last, created = (
        frame[name].to_numpy(dtype=np.float64) for name in ("first_seen", "last_seen", "created_at")
    )
    judged = np.maximum(number["judged"], 1)
    return {
        "log_events": np.log1p(number["events"]),
        "harm_bits": gathered.harm.bits,
        "harm_rate": number["harmful"] / judged,
        "log_harmful": np.log1p(number["harmful"]),
        "refused_rate": number["refused"] / judged,
        "wording": np.log2(np.maximum(gathered.accounts.wording, BASE_RANGE)),
        "harm_kind_known": (frame["harm_kind"].to_numpy() >= 0).astype(np.float64),
        "hosted": frame["hosted"].to_numpy(dtype=np.float64),
        "in_org": (frame["org"].to_numpy() >= 0).astype(np.float64),
        "created_rank": ranked(created).rank,
        "log_wait": np.log1p(np.maximum(first - created, 0) / DAY),
        "log_span": np.log1p(np.maximum(last - first, 0) / DAY),
        "log_idle": np.log1p(np.maximum(np.nanmax(last, initial=0) - last, 0) / DAY),
    }


def _activity(con: duckdb.DuckDBPyConnection) -> dict[str, FloatArray]:
    """How varied its events are. Needs `ix` and `ev`."""
    rows = con.execute(
        """WITH hours AS (
               SELECT i, sum(-p * ln(p)) AS hour_entropy FROM (
                   SELECT i, n / sum(n) OVER (PARTITION BY i) AS p FROM (
                       SELECT i, (ts // 3600000000) % 24 AS hour, count(*) AS n FROM ev GROUP BY 1, 2)
               ) GROUP BY i
           ), sums AS (
               SELECT i, count(DISTINCT ip) AS log_ip, count(DISTINCT device) AS log_device,
                      count(DISTINCT payment) AS log_payment, count(DISTINCT user_agent) AS log_user_agent,
                      count(DISTINCT prompt) AS log_prompts, count(DISTINCT tool) AS log_tools,
                      count(DISTINCT session) AS log_sessions, count(DISTINCT ts // 86400000000) AS log_days,
                      count(DISTINCT harm) AS log_harms,
                      avg((kind = 'chat')::INTEGER) AS share_chat, avg((kind = 'api')::INTEGER) AS share_api,
                      avg((kind = 'tool_call')::INTEGER) AS share_tool_call,
                      avg((kind = 'payment')::INTEGER) AS share_payment,
                      avg((kind = 'login')::INTEGER) AS share_login,
                      avg((kind = 'other')::INTEGER) AS share_other,
                      count(DISTINCT prompt) / greatest(count(prompt), 1) AS fresh_prompts
               FROM ev GROUP BY i
           )
           SELECT ix.i, sums.* EXCLUDE (i), hour_entropy FROM ix LEFT JOIN sums USING (i) LEFT JOIN hours USING (i)
           ORDER BY ix.i"""
    ).df()
    columns = {str(name): rows[name].to_numpy(dtype=np.float64) for name in rows.columns[1:]}
    return {name: np.log1p(np.nan_to_num(one)) if name.startswith("log_") else one for name, one in columns.items()}


def _amounts_and_plan(con: duckdb.DuckDBPyConnection) -> dict[str, FloatArray]:
    """How much it used and paid, and what it declares. Needs `ix`."""
    rows = con.execute(
        """SELECT ix.i, log_tokens, log_amount, harm_score, plan, country FROM ix LEFT JOIN (
               SELECT ix.i, ln(1 + avg(tokens)) AS log_tokens, ln(1 + greatest(sum(amount), 0)) AS log_amount,
                      avg(harm_score) AS harm_score
               FROM events JOIN ix USING (account_id) GROUP BY 1
           ) USING (i) LEFT JOIN accounts USING (account_id) ORDER BY ix.i"""
    ).df()
    columns = {name: rows[name].to_numpy(dtype=np.float64) for name in ("log_tokens", "log_amount", "harm_score")}
    for name in ("plan", "country"):
        shares = rows[name].value_counts(normalize=True)
        columns[f"{name}_share"] = rows[name].map(shares).to_numpy(dtype=np.float64)
    usual = sorted(rows["plan"].value_counts().items(), key=lambda pair: (-pair[1], pair[0]))[:PLANS]
    for plan, _ in sorted(usual):
        columns[f"plan_{plan}"] = (rows["plan"] == plan).to_numpy(dtype=np.float64)
    return columns


def _evidence(gathered: Gathered, evidence: Evidence, ties: Direct, best: FloatArray) -> dict[str, FloatArray]:
    """What detection says of an account, its ties and its cluster."""
    cluster = evidence.cluster
    inside = cluster >= 0
    safe = np.where(inside, cluster, 0)
    count = len(evidence.size)

    def of_cluster(values: FloatArray) -> FloatArray:
        return np.where(inside, values[safe], 0.0) if count else np.zeros(len(cluster))

    def mates(values: FloatArray) -> FloatArray:
        """Mean over the other members of an account's cluster."""
        total = np.bincount(cluster[inside], values[inside], minlength=max(count, 1))
        return np.where(inside, (total[safe] - values) / np.maximum(of_cluster(evidence.size) - 1, 1), 0.0)

    posterior, bits = gathered.harm.posterior, gathered.harm.bits
    hosted = gathered.accounts.frame["hosted"].to_numpy(dtype=np.float64)
    created = ranked(gathered.accounts.created).rank
    return {
        "tie_sum": np.log1p(ties.degree),
        "tie_best": best,
        "tie_count": np.log1p(np.diff(ties.matrix.indptr)),
        "membership": evidence.membership,
        "cluster_log_size": np.log1p(of_cluster(evidence.size)),
        "cluster_coordination": of_cluster(evidence.coordination),
        "cluster_abuse": of_cluster(np.nan_to_num(evidence.abuse)),
        "cluster_strength": of_cluster(evidence.strength),
        "mates_harm": mates(posterior),
        "mates_harm_bits": mates(bits),
        "mates_hosted": mates(hosted),
        "mates_apart": np.abs(np.nan_to_num(created - mates(np.nan_to_num(created)))),
    }


def _groups(model: Model, bits: FloatArray, n: int) -> dict[str, FloatArray]:
    """By group of layers, the mean bits that it gives an account's ties, each as heavy as its chance."""
    tie = probability(bits)
    total = np.bincount(model.first, tie, minlength=n) + np.bincount(model.second, tie, minlength=n)
    out = {}
    for group in model.groups:
        worth = tie * np.maximum(model.group_bits(group), 0.0)
        summed = np.bincount(model.first, worth, minlength=n) + np.bincount(model.second, worth, minlength=n)
        out[f"bits_{group}"] = summed / np.maximum(total, 1e-3)
    return out


def _layers(shared: list[Incidence], n: int) -> dict[str, FloatArray]:
    """By layer: how many entities an account shares with others, and how many others the rarest of them has."""
    out = {}
    for incidence in shared:
        users = incidence.degree[incidence.entity]
        some = users >= 2
        least = np.full(n, np.inf)
        np.minimum.at(least, incidence.account[some], users[some])
        name = incidence.spec.name
        out[f"shared_{name}"] = np.log1p(np.bincount(incidence.account[some], minlength=n))
        out[f"crowd_{name}"] = np.where(np.isfinite(least), np.log(np.maximum(least, 1)), np.nan)
    return out


def standardise(features: Float32) -> tuple[Float32, Float32]:
    """Mean and standard deviation by column, unknown values apart; 0 and 1 where a column is empty or constant."""
    parts = [features[low : low + CHUNK] for low in range(0, len(features), CHUNK)]
    known = [~np.isnan(part) for part in parts]
    none = np.zeros(features.shape[1])

    def mean_of(values: Iterable[Float32 | FloatArray]) -> FloatArray:
        pairs = zip(known, values, strict=True)
        total = sum((np.where(there, part, 0.0).sum(axis=0, dtype=np.float64) for there, part in pairs), none)
        return np.asarray(total / count)

    count = np.maximum(sum((there.sum(axis=0) for there in known), none), 1)
    mean = mean_of(parts)
    spread = np.sqrt(mean_of((part - mean) ** 2 for part in parts))
    return mean.astype(np.float32), np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
