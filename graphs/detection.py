"""What a run of detection does, in order: accounts, layers, pairs, bits, communities, clusters, scores."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.abuse import Harm, abuse_probability, account_harm, cluster_bits, unauthorised
from ringwatch.graphs.accounts import AccountTable, FloatArray, collect_accounts
from ringwatch.graphs.clusters import Found, describe_clusters, mean_hosted
from ringwatch.graphs.communities import LEAST_BITS, find_communities
from ringwatch.graphs.comparison import behaviour, build_model
from ringwatch.graphs.content import prompt_families, tool_chains, tool_targets
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.frames import Content, RunNode, store_changes
from ringwatch.graphs.labels import (
    COUPLING,
    MOST_BITS,
    NO_VERDICTS,
    Verdicts,
    collect_verdicts,
    spread,
    with_verdicts,
)
from ringwatch.graphs.layers import (
    PURSE_KINDS,
    TREE_KINDS,
    Incidence,
    Relation,
    collect_incidences,
    collect_relations,
    common_sources,
    common_targets,
)
from ringwatch.graphs.learning import probability
from ringwatch.graphs.naming import NO_HISTORY, History
from ringwatch.graphs.pairs import candidate_pairs
from ringwatch.graphs.resolve import cluster_entities, cluster_timeline, resolve_entities
from ringwatch.graphs.returns import find_returns
from ringwatch.graphs.store.base import Changes
from ringwatch.graphs.syndicates import Syndicates, find_syndicates, unit_of, with_domains
from ringwatch.graphs.teaching import account_traits, taught
from ringwatch.graphs.ties import tie_layers, weigh_ties
from ringwatch.metrics import Stopwatch

STAND = 0.0
"""An edge stands when prior and evidence together exceed this: one operator is likelier than not."""

ALONE = 0.3
"""How far an account's own harm counts without a cluster around it: a red teamer is one person, not an operation."""


@dataclass(frozen=True)
class Detection:
    """What one run found, as frames, and what a store is to be told of it.

    `clusters` (highest score first): cluster_id, size, score, bits, coordination, abuse (NaN without harm evidence),
    layers (list), first_seen, last_seen, status (a kind of `graphs.lineage`), digest. `members`: cluster_id,
    account_id, cluster_score, membership, account_score. `edges`: cluster_id, src, dst, bits, layers. `evidence`:
    cluster_id, against, layer, bits, text, entity (a token, or null), accounts. `entities`: cluster_id, account_id,
    type, token, count, first_seen, last_seen, the most shared ones of each cluster. `timeline`: cluster_id, day,
    events, harmful, refused. `scores`: account_id, score, calibrated, cluster_id, a row for every account. `lineage`:
    as `graphs.lineage.trace` has it. `past`: id, account_id, run_id, the groups of earlier runs that this one does
    not have. `used_labels`: the accounts whose label the run used. `edges_standing`: pairs of accounts on which prior
    and evidence together are positive.
    """

    accounts: int
    edges_standing: int
    clusters: pd.DataFrame
    members: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame
    entities: pd.DataFrame
    timeline: pd.DataFrame
    scores: pd.DataFrame
    syndicates: Syndicates
    lineage: pd.DataFrame
    past: pd.DataFrame
    used_labels: frozenset[str]
    changes: Changes


@dataclass(frozen=True)
class Gathered:
    """What the log says, before anything is weighed: accounts, and by layer who has what and who dealt with whom."""

    accounts: AccountTable
    shared: list[Incidence]
    relations: list[Relation]
    content: Content

    @cached_property
    def harm(self) -> Harm:
        """What its own events say of each account."""
        frame = self.accounts.frame
        return account_harm(frame["harmful"].to_numpy(dtype=np.int64), frame["judged"].to_numpy(dtype=np.int64))

    @property
    def groups(self) -> list[str]:
        """The groups of layers that there is anything of; contrasts of accounts' own columns are not among them."""
        return sorted({one.spec.group for one in self.shared} | {one.spec.group for one in self.relations})


def gather(
    con: duckdb.DuckDBPyConnection, *, declared: tuple[str, ...], tool_key: bytes, watch: Stopwatch
) -> Gathered:
    """Reads the attached views of the event log, layer by layer; makes temporary tables in `con`."""
    with watch.stage("accounts"):
        accounts = collect_accounts(con)
    with watch.stage("layers"):
        incidences = collect_incidences(con, declared)
        relations = collect_relations(con)
    with watch.stage("prompts"):
        prompts = prompt_families(con)
    with watch.stage("tools"):
        chains = tool_chains(con, key=tool_key)
        targets = tool_targets(con)
    shared = [*incidences, prompts.incidence, chains.incidence, targets]
    shared += [common_sources(relation) for relation in relations if relation.spec.name in TREE_KINDS]
    shared += [common_targets(relation) for relation in relations if relation.spec.name in PURSE_KINDS]
    shared = [incidence for incidence in shared if len(incidence.account)]
    return Gathered(accounts, shared, relations, Content(prompts, chains))


def weigh(gathered: Gathered, *, seed: int, watch: Stopwatch, without: Collection[str] = ()) -> Model:
    """Candidate pairs and their bits; `without` names groups of layers (and of contrasts) to leave out."""
    shared = [incidence for incidence in gathered.shared if incidence.spec.group not in without]
    relations = [relation for relation in gathered.relations if relation.spec.group not in without]
    accounts = gathered.accounts
    with watch.stage("pairs"):
        first, second = candidate_pairs(shared, relations, len(accounts), seed=seed, columns=behaviour(accounts))
    with watch.stage("bits"):
        harm = gathered.harm if accounts.harm_known else None
        return build_model(accounts, shared, relations, first, second, seed=seed, harm=harm, without=without)


def detect(
    con: duckdb.DuckDBPyConnection,
    *,
    declared: tuple[str, ...],
    tool_key: bytes,
    seed: int,
    use_labels: bool,
    previous: History | None,
    run_id: str,
    created_at: datetime,
    as_of: datetime | None,
    watch: Stopwatch,
    gathered: Gathered | None = None,
    without: Collection[str] = (),
) -> Detection:
    """Finds coordinated accounts in the attached views of the event log (`EventLog.attach`).

    Args:
        declared: entity types that the workspace declares. tool_key: at least 16 bytes, for sketches of tool chains.
        use_labels: whether labels and verdicts count. previous: what earlier runs found.
        run_id, created_at, as_of: what the store is to say of the run.
        gathered: what `gather` made of the same views, where that is known already. without: groups of layers that
            are left out.

    The same views and seed give the same frames. Makes temporary tables in `con`.
    """
    history = previous or NO_HISTORY
    gathered = gathered or gather(con, declared=declared, tool_key=tool_key, watch=watch)
    accounts = gathered.accounts
    model = weigh(gathered, seed=seed, watch=watch, without=without)
    bits = model.bits()
    tied = np.flatnonzero(bits > LEAST_BITS)
    with watch.stage("communities"):
        community = find_communities(len(accounts), model.first[tied], model.second[tied], bits[tied], seed=seed)
    with watch.stage("clusters"):
        verdicts = collect_verdicts(con) if use_labels else NO_VERDICTS
        harm = with_verdicts(gathered.harm, verdicts)
        evident = harm if accounts.harm_known or len(verdicts.account) else None
        found = describe_clusters(accounts, model, bits, tied, community, evident, verdicts, history)
        evidence = resolve_entities(con, found.evidence, accounts, gathered.shared)
        entities = cluster_entities(con, found.members, accounts, gathered.shared)
        timeline = cluster_timeline(con, found.members)
    with watch.stage("scores"):
        scores = account_scores(gathered, model, bits, verdicts, found)
        members = found.members.assign(
            account_score=scores["score"].to_numpy()[np.searchsorted(accounts.ids, found.members["account_id"])]
        )
    with watch.stage("organizations"):
        groups = found.members[["cluster_id", "account_id"]].rename(columns={"cluster_id": "id"})
        unit = unit_of(found.clusters["cluster_id"], accounts, groups)
        shared = with_domains(con, gathered.shared)
        layers = tie_layers(shared, unit)
        ties = weigh_ties(layers, unit, len(found.clusters), model, bits)
        syndicates = find_syndicates(con, accounts, layers, ties, found.clusters, unit, verdicts, history)
        found = find_returns(con, found, history, accounts, shared, ties, model, bits, use_labels=use_labels)
        past = history.remember(pd.concat([groups, syndicates.members(groups)], ignore_index=True))
    used = frozenset(accounts.ids[verdicts.account].tolist())
    with watch.stage("frames"):
        record = RunNode(run_id, created_at, as_of, seed, use_labels)
        changes = store_changes(con, record, accounts, found, scores, model, gathered.content, syndicates)
    return Detection(
        len(accounts),
        int((bits > STAND).sum()),
        found.clusters,
        members,
        found.edges,
        evidence,
        entities,
        timeline,
        scores,
        syndicates,
        found.lineage,
        past,
        used,
        changes,
    )


def account_scores(
    gathered: Gathered, model: Model, bits: FloatArray, verdicts: Verdicts, found: Found
) -> pd.DataFrame:
    """account_id, score, calibrated, cluster_id (null outside clusters) of every account, in the order of their ids.

    First what no verdict has touched. With harm evidence the chance of either of two things: being a member of an
    abusive cluster (coordination × abuse × membership), or, weighed down by `ALONE`, being of the harmful kind by
    what is known of the account itself. Without it, the chance of having a mate at all (noisy or over candidate
    pairs), in a cluster coordination × membership. Labels then teach how far that is to be believed and what else
    tells (`graphs.teaching`), and what verdicts say of this account, of tied ones and of its cluster is added.
    """
    accounts = gathered.accounts
    n, count = len(accounts), len(found.clusters)
    ids = accounts.ids
    row = (
        np.searchsorted(ids, found.members["account_id"].to_numpy(dtype=object)) if n else np.zeros(0, dtype=np.int64)
    )
    names = pd.Index(found.clusters["cluster_id"])
    cluster, belongs = np.full(n, -1, dtype=np.int64), np.zeros(n)
    cluster[row] = names.get_indexer(pd.Index(found.members["cluster_id"]))
    belongs[row] = found.members["membership"].to_numpy()
    inside = cluster >= 0
    harm = gathered.harm
    abuse = np.ones(count)
    if accounts.harm_known:
        abuse = abuse_probability(cluster_bits(harm, cluster, count))[0]
        abuse *= unauthorised(mean_hosted(accounts.frame["hosted"].to_numpy(), NO_VERDICTS, cluster, count))
    part = np.zeros(n)
    part[inside] = (found.clusters["coordination"].to_numpy() * abuse)[cluster[inside]] * belongs[inside]
    mate = _mate(model, bits, n)
    if accounts.harm_known:
        own = harm.posterior * (ALONE + (1 - ALONE) * mate * part)
        score = 1 - (1 - part) * (1 - own)
    else:
        score = np.where(inside, part, mate * ALONE)
    if len(verdicts.account):
        sizes = (
            np.where(inside, found.clusters["size"].to_numpy(dtype=np.int64)[cluster], 1) if count else cluster + 2
        )
        traits = account_traits(accounts, gathered.shared, gathered.relations, sizes)
        odds = taught(score, traits, verdicts.account, (verdicts.bits > 0).astype(np.float64))
        said = cluster_bits(with_verdicts(harm, verdicts), cluster, count) - cluster_bits(harm, cluster, count)
        odds[inside] += COUPLING * np.clip(said, -MOST_BITS, MOST_BITS)[cluster[inside]] * belongs[inside]
        score = probability(odds + spread(model, bits, verdicts))
    named = np.full(n, None, dtype=object)
    named[row] = found.members["cluster_id"].to_numpy(dtype=object)
    return pd.DataFrame(
        {
            "account_id": ids, "score": score.round(9) + 0.0, "calibrated": False,
            "cluster_id": pd.Series(named, dtype="str"),
        }
    )  # fmt: skip


def _mate(model: Model, bits: FloatArray, n: int) -> FloatArray:
    """The chance that at least one of an account's candidate pairs is real; float64[n]."""
    miss = -np.log1p(np.exp2(np.clip(bits, -60, 30)))
    return np.asarray(
        -np.expm1(np.bincount(model.first, miss, minlength=n) + np.bincount(model.second, miss, minlength=n))
    )
