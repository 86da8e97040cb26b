"""What a run of detection does, in order: accounts, layers, pairs, bits, communities, clusters, scores."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.abuse import Harm, account_harm
from ringwatch.graphs.accounts import AccountTable, FloatArray, collect_accounts
from ringwatch.graphs.character import worded
from ringwatch.graphs.clusters import Formed, Found, describe_clusters, form_clusters, weigh_besides
from ringwatch.graphs.communities import find_communities
from ringwatch.graphs.comparison import behaviour, build_model
from ringwatch.graphs.content import prompt_families, sent_prompts, tool_chains, tool_targets, wording
from ringwatch.graphs.doubtful import tying
from ringwatch.graphs.evidence import STAND, Model
from ringwatch.graphs.frames import Content, RunNode, store_changes
from ringwatch.graphs.habits import Habit, collect_habits
from ringwatch.graphs.labels import NO_VERDICTS, collect_verdicts
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
from ringwatch.graphs.moments import moments
from ringwatch.graphs.naming import NO_HISTORY, History
from ringwatch.graphs.pairs import candidate_pairs
from ringwatch.graphs.resolve import cluster_entities, cluster_timeline, resolve_entities
from ringwatch.graphs.returns import find_returns
from ringwatch.graphs.scores import account_scores, untouched_scores
from ringwatch.graphs.signups import signup_bursts
from ringwatch.graphs.standing import Standing, collect_standing
from ringwatch.graphs.store.base import Changes
from ringwatch.graphs.syndicates import Syndicates, find_syndicates, unit_of, with_domains
from ringwatch.graphs.ties import tie_layers, weigh_ties
from ringwatch.graphs.trees import common_roots
from ringwatch.metrics import Stopwatch


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
    habits: list[Habit]
    standing: list[Standing]

    @cached_property
    def harm(self) -> Harm:
        """What its own events say of each account."""
        frame = self.accounts.frame
        return account_harm(frame["harmful"].to_numpy(dtype=np.int64), frame["judged"].to_numpy(dtype=np.int64))

    @property
    def known_harm(self) -> Harm | None:
        """The same where the log says of any event whether it did harm."""
        return self.harm if self.accounts.harm_known else None

    def conduct(self, without: Collection[str] = ()) -> Harm | None:
        """The same by what each account writes, too. For accounts one by one: members of a group write alike."""
        return self.known_harm if "wording" in without else self._conduct

    @cached_property
    def _conduct(self) -> Harm | None:
        harm = self.known_harm
        return harm and replace(harm, bits=harm.bits + worded(self.accounts.wording, harm.posterior))

    @property
    def groups(self) -> list[str]:
        """The groups of layers that there is anything of; contrasts of accounts' own columns are not among them."""
        return sorted({one.spec.group for one in self.shared} | {one.spec.group for one in self.relations})


@dataclass(frozen=True)
class Judgement:
    """What a trained model says: `score`, the calibrated probability of abuse of each account, and `shift`, how far
    the log odds (natural) of each cluster's abuse move; float64[accounts] and float64[clusters]."""

    score: FloatArray
    shift: FloatArray


Judge = Callable[[Gathered, Model, FloatArray, Formed, FloatArray], Judgement]
"""From what was gathered, the model of pairs, their bits, the clusters and the scores that no verdict has touched."""


def gather(
    con: duckdb.DuckDBPyConnection, *, declared: tuple[str, ...], tool_key: bytes, watch: Stopwatch
) -> Gathered:
    """Reads the attached views of the event log, layer by layer; makes temporary tables in `con`."""
    with watch.stage("accounts"):
        accounts = collect_accounts(con)
    with watch.stage("prompts"):
        sent = sent_prompts(con)
    with ThreadPoolExecutor(1) as pool:
        # What takes longest needs the engine no more, and what follows little else.
        joining = pool.submit(prompt_families, sent)
        with watch.stage("layers"):
            incidences = collect_incidences(con, declared)
            relations = collect_relations(con)
        with watch.stage("moments"):
            for addresses in [one for one in incidences if one.spec.name == "ip"]:
                incidences += moments(con, addresses, accounts)
            incidences += signup_bursts(con, accounts)
        with watch.stage("tools"):
            chains = tool_chains(con, key=tool_key)
            targets = tool_targets(con)
        with watch.stage("habits"):
            habits = collect_habits(con, accounts)
        with watch.stage("prompts"):
            prompts = joining.result()
            accounts = accounts.with_wording(wording(sent, prompts, len(accounts)))
    shared = [*incidences, prompts.incidence, chains.incidence, targets]
    shared += [common_sources(relation) for relation in relations if relation.spec.name in TREE_KINDS]
    shared += [common_roots(relation, len(accounts)) for relation in relations if relation.spec.name in TREE_KINDS]
    shared += [common_targets(relation) for relation in relations if relation.spec.name in PURSE_KINDS]
    shared = [incidence for incidence in shared if len(incidence.account)]
    with watch.stage("habits"):
        standing = collect_standing(con, accounts, shared)
    return Gathered(accounts, shared, relations, Content(prompts, chains), habits, standing)


def weigh(gathered: Gathered, *, seed: int, watch: Stopwatch, without: Collection[str] = ()) -> Model:
    """Candidate pairs and their bits; `without` names layers, contrasts or groups of them to leave out."""
    out = frozenset(without)
    shared = [incidence for incidence in gathered.shared if not out & {incidence.spec.name, incidence.spec.group}]
    relations = [relation for relation in gathered.relations if not out & {relation.spec.name, relation.spec.group}]
    accounts = gathered.accounts
    with watch.stage("pairs"):
        first, second = candidate_pairs(shared, relations, len(accounts), seed=seed, columns=behaviour(accounts))
    with watch.stage("bits"):
        return build_model(
            accounts, shared, relations, first, second, seed=seed, harm=gathered.conduct(without), without=without,
            habits=gathered.habits,
        )  # fmt: skip


def untouched(
    gathered: Gathered,
    model: Model,
    bits: FloatArray,
    *,
    seed: int,
    watch: Stopwatch,
    without: Collection[str] = (),
) -> tuple[Formed, FloatArray]:
    """The clusters, and the scores of accounts, float64[accounts], that no verdict has touched; `bits` are those of
    the model's pairs, `without` is as `weigh_besides` has it."""
    accounts, harm = gathered.accounts, gathered.known_harm
    with watch.stage("communities"):
        tied, worth, words = tying(model, bits)
        community = find_communities(
            len(accounts), model.first[tied], model.second[tied], worth[tied], words,
            accounts.frame["org"].to_numpy(), seed=seed,
        )  # fmt: skip
    with watch.stage("clusters"):
        formed = form_clusters(model, worth, tied, community)
        if harm is not None:
            formed = weigh_besides(formed, accounts, model, harm, gathered.standing, without)
        return formed, untouched_scores(accounts, model, bits, formed, harm, gathered.conduct(without))


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
    model: Model | None = None,
    without: Collection[str] = (),
    judge: Judge | None = None,
) -> Detection:
    """Finds coordinated accounts in the attached views of the event log (`EventLog.attach`).

    Args:
        declared: entity types that the workspace declares. tool_key: at least 16 bytes, for sketches of tool chains.
        use_labels: whether labels and verdicts count. previous: what earlier runs found.
        run_id, created_at, as_of: what the store is to say of the run.
        gathered: what `gather` made of the same views, where that is known already. model: the pairs as they are to
            be weighed, in the place of `weigh`. without: layers, contrasts or groups of them that are left out, and
            what is said of clusters besides harm (`weigh_besides`).
        judge: a trained model, whose scores take the place of the accounts' own.

    The same views and seed give the same frames. Makes temporary tables in `con`.
    """
    history = previous or NO_HISTORY
    gathered = gathered or gather(con, declared=declared, tool_key=tool_key, watch=watch)
    accounts = gathered.accounts
    model = model or weigh(gathered, seed=seed, watch=watch, without=without)
    bits = model.bits()
    formed, score = untouched(gathered, model, bits, seed=seed, watch=watch, without=without)
    judgement = None
    if judge is not None:
        with watch.stage("model"):
            judgement = judge(gathered, model, bits, formed, score)
    with watch.stage("clusters"):
        verdicts = collect_verdicts(con, score) if use_labels else NO_VERDICTS
        found = describe_clusters(
            accounts, model, bits, formed, gathered.known_harm, verdicts, history, gathered.standing, without,
            learnt=None if judgement is None else judgement.shift,
        )  # fmt: skip
        evidence = resolve_entities(con, found.evidence, accounts, gathered.shared)
        entities = cluster_entities(con, found.members, accounts, gathered.shared)
        timeline = cluster_timeline(con, found.members)
    with watch.stage("scores"):
        score = (
            account_scores(score, accounts, gathered.shared, gathered.relations, model, bits, formed, verdicts)
            if judgement is None
            else judgement.score
        )
        scores = _score_table(accounts, score, found, calibrated=judgement is not None)
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


def _score_table(accounts: AccountTable, score: FloatArray, found: Found, *, calibrated: bool) -> pd.DataFrame:
    """account_id, score, calibrated, cluster_id (null outside clusters) of every account, in order of ids."""
    cluster = pd.Series(found.members["cluster_id"].to_numpy(dtype=object), index=found.members["account_id"])
    return pd.DataFrame(
        {
            "account_id": accounts.ids, "score": score.round(9) + 0.0, "calibrated": calibrated,
            "cluster_id": cluster.reindex(accounts.ids).astype("str").to_numpy(),
        }
    )  # fmt: skip
