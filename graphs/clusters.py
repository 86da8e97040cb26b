"""Clusters: communities with their strength, their reasons for and against, and a name that lasts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringwatch.graphs.abuse import (
    LEAST_SHARE,
    USUAL_RATES,
    Harm,
    Rates,
    abuse_probability,
    cluster_bits,
    learn_rates,
    unauthorised,
    without_purpose,
)
from ringwatch.graphs.accounts import AccountTable, BoolArray, FloatArray, IntArray
from ringwatch.graphs.character import CHARACTER, LEAST_TOLD, MOST_WORDING, cluster_traits, likeness, wording_trait
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.labels import NO_VERDICTS, Verdicts, with_verdicts
from ringwatch.graphs.learning import probability
from ringwatch.graphs.lineage import statuses, trace
from ringwatch.graphs.naming import CLUSTER, History, digest_clusters, name_groups
from ringwatch.graphs.reasons import edge_layers, reasons
from ringwatch.graphs.standing import STANDING, Standing, speak_for_people
from ringwatch.graphs.teams import SIGNS, TEAM_LAYER, Teams, find_teams

BESIDES = ("standing", "likeness", "wording", "teams")
"""What is said of clusters besides harm and verdicts: what speaks for their people, what they are like, what they
write, whether they may be a team whose task harm is. Writing counts for accounts and pairs as well
(`Gathered.conduct`)."""

MIN_SIZE = 3
BELONG = 0.5
"""A cluster stands when its members do: where the mean chance of having a mate in it is at least this."""

HARM_LAYER, BASE_LAYER, WEAKER_LAYER = "harm", "base_rate", "weaker_signs"
BOUND_LAYER, HOST_LAYER, MODEL_LAYER = "enough", "institution", "model"
ABUSE_LAYERS = (
    HARM_LAYER, BASE_LAYER, WEAKER_LAYER, BOUND_LAYER, HOST_LAYER, TEAM_LAYER, MODEL_LAYER, *SIGNS, *STANDING,
    *CHARACTER,
)  # fmt: skip
"""Layers of evidence that say whether a cluster is abusive; all others say whether it is one operation."""

SURELY = 20.0
"""The most bits that all evidence together is for or against abuse: what is said then can still move it."""

LEAST_CHANCE = 1e-12
LEAST_REST = 0.05
"""What no sentence was worth is told together, from so many bits on."""


@dataclass(frozen=True)
class Found:
    """The clusters of a run as frames. `evidence` names exemplars by layer and dense entity; the other columns are
    those of `Detection`."""

    clusters: pd.DataFrame
    members: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame
    lineage: pd.DataFrame


@dataclass(frozen=True)
class Formed:
    """Communities that stand as clusters. By account: `cluster` (-1 for none) and `membership`, the chance of having
    a mate there. By cluster: `size`, `coordination`, the chance that it is one operation, `learnt`, the probability
    of abuse by harm alone, at the `rates` that all clusters teach, and `besides`, the bits for abuse of all but harm
    and verdicts, whose reasons `spoken` has. `teams` says which may be a team's (None: not asked). `inside` are the
    candidate pairs within clusters that communities were made of."""

    cluster: IntArray
    membership: FloatArray
    size: IntArray
    coordination: FloatArray
    inside: IntArray
    learnt: FloatArray
    besides: FloatArray
    rates: Rates = USUAL_RATES
    spoken: pd.DataFrame = field(default_factory=pd.DataFrame)
    teams: Teams | None = None

    def __len__(self) -> int:
        return len(self.size)


def form_clusters(model: Model, bits: FloatArray, tied: IntArray, community: IntArray) -> Formed:
    """The communities of `MIN_SIZE` accounts or more whose members belong there; `bits` are those of all pairs as far
    as they tie, `tied` the pairs that communities were made of, `community` the community of each account."""
    cluster, count = _numbered(community, np.bincount(community[community >= 0], minlength=1) >= MIN_SIZE)
    membership = noisy_or(model, bits, _within(model, tied, cluster), len(cluster))
    cluster, count = _numbered(cluster, _mean(membership, cluster, count) >= BELONG)
    membership[cluster < 0] = 0.0
    size = np.bincount(cluster[cluster >= 0], minlength=count)
    coordination = _mean(membership, cluster, count) * (1 - np.exp2(1.0 - size))
    nothing = np.zeros(count)
    return Formed(cluster, membership, size, coordination, _within(model, tied, cluster), nothing, nothing)


def weigh_besides(
    formed: Formed,
    accounts: AccountTable,
    model: Model,
    harm: Harm,
    standing: Sequence[Standing],
    without: Collection[str] = (),
) -> Formed:
    """Clusters with what harm says of them, what speaks for their people, what they are like and what they write,
    learnt from those that harm is seen at, and which may be teams. `without` names layers of `standing`, or whole
    `BESIDES`, to leave out."""
    out = frozenset(without)
    standing = [one for one in standing if not out & {one.layer, "standing"}]
    cluster, count = formed.cluster, len(formed)
    rates = learn_rates(harm, cluster, count)
    learnt = abuse_probability(cluster_bits(harm, cluster, count, rates), rates.share)
    people, spoken = speak_for_people(standing, learnt, cluster, count)
    traits = [] if "likeness" in out else cluster_traits(accounts, model, formed.inside, cluster, count)
    alike, told = likeness(traits, learnt)
    words = [] if "wording" in out else wording_trait(accounts.wording, cluster, count)
    said, quoted = likeness(words, learnt, most=MOST_WORDING)
    spoken = pd.concat([spoken, told, quoted], ignore_index=True)
    besides, teams = people + alike + said, None
    if "teams" not in out:
        teams = find_teams(accounts, cluster, learnt)
        besides = besides + sum(sign.bits for sign in teams.signs)
        spoken = pd.concat([spoken, *_signs(teams)], ignore_index=True)
    return replace(formed, rates=rates, learnt=learnt, besides=besides, spoken=spoken, teams=teams)


@dataclass(frozen=True)
class Abuse:
    """How abusive clusters are, and what that is made of. By cluster: `bits` of what members did and of verdicts;
    `hosted`, how surely their harm is somebody's task; `broad`, the bits for its having no purpose; `moved`, by
    layer, the bits by which what bounds abuse, or has learnt of it, moves the odds; `odds`, all together, as log2. By
    account: `aimless`, how surely its harm has no purpose."""

    bits: FloatArray
    hosted: FloatArray
    broad: FloatArray
    moved: Mapping[str, FloatArray]
    odds: FloatArray
    aimless: FloatArray

    @property
    def probability(self) -> FloatArray:
        """That each cluster is abusive; float64[clusters]."""
        return probability(self.odds)


def judge_clusters(
    accounts: AccountTable,
    formed: Formed,
    harm: Harm,
    verdicts: Verdicts = NO_VERDICTS,
    learnt: FloatArray | None = None,
) -> Abuse:
    """The abuse of clusters by what all accounts' events say of them (`harm`), by verdicts, and by how far a trained
    model moves the odds (`learnt`, natural logarithm).

    Verdicts are a biased sample: where events say anything, how many clusters are abusive, and what those have, is
    learnt from events alone, so that a cluster nobody has judged is what it was.
    """
    cluster, count, rates = formed.cluster, len(formed), formed.rates
    bits = cluster_bits(with_verdicts(harm, verdicts), cluster, count, rates)
    hosted = mean_hosted(accounts.frame["hosted"].to_numpy(), verdicts, cluster, count)
    aimless, broad = without_purpose(harm, accounts.categories, formed.learnt, cluster)
    chance = np.zeros(count) if formed.teams is None else formed.teams.chance(broad)
    odds = rates.base + bits + formed.besides
    moved = {BOUND_LAYER: np.clip(odds, -SURELY, SURELY) - odds}
    odds = odds + moved[BOUND_LAYER]
    for layer, most in ((HOST_LAYER, unauthorised(hosted)), (TEAM_LAYER, 1 - _unsettled(chance, verdicts, cluster))):
        moved[layer] = _bounded(odds, most)
        odds = odds + moved[layer]
    if learnt is not None:
        moved[MODEL_LAYER] = learnt / np.log(2)
        odds = odds + moved[MODEL_LAYER]
    return Abuse(bits, hosted, broad, moved, odds, aimless)


def _bounded(odds: FloatArray, most: FloatArray) -> FloatArray:
    """By how many bits log2 odds move where what they are of is so with a chance of `most` at most."""
    with np.errstate(divide="ignore"):
        ratio = np.log2(1 - most) - np.log2(np.maximum(most, LEAST_CHANCE))
    return np.asarray(-np.logaddexp2(0.0, ratio + np.logaddexp2(0.0, odds)))


def describe_clusters(
    accounts: AccountTable,
    model: Model,
    bits: FloatArray,
    formed: Formed,
    harm: Harm | None,
    verdicts: Verdicts,
    history: History,
    standing: Sequence[Standing],
    without: Collection[str],
    learnt: FloatArray | None = None,
) -> Found:
    """Scores, explains and names clusters.

    `history` is what earlier runs found. `harm` holds what their own events say of all accounts (None: nothing does);
    without it and without verdicts abuse is null and the score is the probability of coordination. Without it but
    with verdicts these teach what `standing` says, but for what is to be `without` (as `weigh_besides` has it).
    """
    cluster, count, inside, membership, size = (
        formed.cluster, len(formed), formed.inside, formed.membership, formed.size,
    )  # fmt: skip
    of_edge = cluster[model.first[inside]]
    strength = mean_bits(model, bits, formed)
    coordination = formed.coordination
    judged = harm is not None or len(verdicts.account) > 0
    own = harm or Harm(np.zeros(len(cluster)), LEAST_SHARE)
    if harm is None and judged:
        formed = weigh_besides(formed, accounts, model, with_verdicts(own, verdicts), standing, without)
    found = judge_clusters(accounts, formed, own, verdicts, learnt)
    abuse = found.probability if judged else np.full(count, np.nan)
    score = coordination * abuse if judged else coordination
    member = np.flatnonzero(cluster >= 0)
    member = member[np.argsort(cluster[member], kind="stable")]
    of_member, names = cluster[member], accounts.ids[member]
    ids = name_groups(CLUSTER, of_member, names, count, history)
    lineage = trace(pd.DataFrame({"id": ids[of_member], "account_id": names}).astype("str"), history.of(CLUSTER))
    evidence, layers = reasons(model, inside, of_edge, count)
    if judged:
        told = [
            _harm_evidence(accounts, verdicts, cluster, count, found.bits), formed.spoken, *_moved(formed, found),
        ]  # fmt: skip
        evidence = pd.concat([evidence, *told, _weaker(told, found)], ignore_index=True)
    digests = digest_clusters(of_member, names, evidence, count)
    first_seen, last_seen = _span(accounts, member, of_member, count)
    score = score.round(6)
    clusters = pd.DataFrame(
        {
            "cluster_id": ids, "size": size, "score": score, "bits": strength.round(3),
            "coordination": coordination.round(6), "abuse": abuse.round(6), "layers": pd.Series(layers, dtype=object),
            "first_seen": first_seen, "last_seen": last_seen,
            "status": statuses(lineage).reindex(ids).to_numpy(dtype=object),
            "digest": pd.Series(digests, dtype=object),
        }
    )  # fmt: skip
    members = pd.DataFrame(
        {
            "cluster_id": ids[of_member], "account_id": names, "cluster_score": score[of_member],
            "membership": membership[member].round(6),
        }
    )  # fmt: skip
    edges = pd.DataFrame(
        {
            "cluster_id": ids[of_edge],
            "src": accounts.ids[model.first[inside]], "dst": accounts.ids[model.second[inside]],
            "bits": bits[inside].round(3), "layers": pd.Series(edge_layers(model, inside), dtype=object),
        }
    )  # fmt: skip
    evidence["cluster_id"] = ids[evidence.pop("cluster").to_numpy(dtype=np.int64)]
    order = np.lexsort((ids.astype(str), -strength * size, -score))
    return Found(
        clusters.iloc[order].reset_index(drop=True),
        members.sort_values("account_id", kind="stable").reset_index(drop=True),
        edges,
        evidence[["cluster_id", "against", "layer", "bits", "text", "entity_layer", "entity", "accounts"]],
        lineage,
    )


def mean_bits(model: Model, bits: FloatArray, formed: Formed) -> FloatArray:
    """Mean over the pairs within each cluster; 0 of none."""
    of_pair = formed.cluster[model.first[formed.inside]]
    total = np.bincount(of_pair, bits[formed.inside], minlength=len(formed))
    return np.asarray(total / np.maximum(np.bincount(of_pair, minlength=len(formed)), 1))


def _numbered(group: IntArray, kept: BoolArray) -> tuple[IntArray, int]:
    """Groups that are `kept`, numbered from 0, -1 for accounts in none; and how many there are."""
    # The last place is that of accounts in no group.
    number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return np.asarray(number[group]), int(kept.sum())


def _within(model: Model, pairs: IntArray, group: IntArray) -> IntArray:
    """Those of some pairs whose ends are in one group."""
    first, second = group[model.first[pairs]], group[model.second[pairs]]
    return np.asarray(pairs[(first >= 0) & (first == second)])


def _mean(value: FloatArray, group: IntArray, count: int) -> FloatArray:
    """Mean over the members of each of `count` groups; 0 of none."""
    inside = group >= 0
    total = np.bincount(group[inside], value[inside], minlength=count)
    return np.asarray(total / np.maximum(np.bincount(group[inside], minlength=count), 1))


def noisy_or(model: Model, bits: FloatArray, pairs: IntArray | slice, n: int) -> FloatArray:
    """The chance that at least one of an account's pairs, of some, is real; float64[n]."""
    miss = -np.log1p(np.exp2(np.clip(bits[pairs], -60, 30)))
    total = np.bincount(model.first[pairs], miss, minlength=n) + np.bincount(model.second[pairs], miss, minlength=n)
    return np.asarray(-np.expm1(total))


def _span(accounts: AccountTable, member: IntArray, of_member: IntArray, count: int) -> tuple[pd.Series, pd.Series]:
    """First and last event by cluster, sign-ups for accounts that have none; NaT where nothing has a time."""
    frame = accounts.frame.iloc[member]
    known = [frame[name].fillna(frame["created_at"]).groupby(of_member) for name in ("first_seen", "last_seen")]
    moments = [
        pd.to_datetime(one.reindex(range(count)), unit="us", utc=True) for one in (known[0].min(), known[1].max())
    ]
    return moments[0].reset_index(drop=True), moments[1].reset_index(drop=True)


def mean_hosted(hosted: FloatArray, verdicts: Verdicts, cluster: IntArray, count: int) -> FloatArray:
    """Mean of what members have to do with an institution's addresses, by cluster; 0 where somebody has judged a
    member abusive, since that settles whether the harm was a task."""
    return _unsettled(_mean(hosted, cluster, count), verdicts, cluster)


def _unsettled(share: FloatArray, verdicts: Verdicts, cluster: IntArray) -> FloatArray:
    judged = cluster[verdicts.account[verdicts.labelled & (verdicts.bits > 0)]]
    settled = np.zeros(len(share), dtype=np.bool_)
    settled[judged[judged >= 0]] = True
    return np.where(settled, 0.0, share)


def _moved(formed: Formed, found: Abuse) -> Iterator[pd.DataFrame]:
    """What abuse starts from, what bounds it, and what has learnt of it, kind by kind."""
    share = formed.rates.share
    base = [f"Of all clusters about {share:.1%} are abusive"] * len(formed)
    yield _abuse_evidence(BASE_LAYER, np.arange(len(formed)), np.full(len(formed), formed.rates.base), base)
    for layer, bits in found.moved.items():
        at = np.flatnonzero(np.abs(bits) >= LEAST_TOLD)
        if layer == TEAM_LAYER:
            said = formed.teams.sentences(at, found.broad) if formed.teams is not None else []
        elif layer == HOST_LAYER:
            said = [
                f"{part:.0%} of their events come from addresses of a known company or campus, where harm may be a"
                " task"
                for part in found.hosted[at].tolist()
            ]
        else:
            said = [_SAID[layer]] * len(at)
        yield _abuse_evidence(layer, at, bits[at], said)


_SAID = {
    BOUND_LAYER: f"More than {SURELY:.0f} bits count as {SURELY:.0f}",
    MODEL_LAYER: "A trained model moves the odds by what labels have taught of members like these",
}


def _weaker(told: Sequence[pd.DataFrame], found: Abuse) -> pd.DataFrame:
    """What no sentence was worth: with it the bits add up to the odds."""
    table = pd.concat(told, ignore_index=True)
    rest = found.odds - np.bincount(table["cluster"].astype(np.int64), table["bits"], minlength=len(found.odds))
    at = np.flatnonzero(np.abs(rest) >= LEAST_REST)
    return _abuse_evidence(WEAKER_LAYER, at, rest[at], ["What else is known says little"] * len(at))


def _signs(teams: Teams) -> Iterator[pd.DataFrame]:
    """What speaks for the abuse of clusters, or against it, besides what their members did."""
    for sign in teams.signs:
        at = np.flatnonzero(np.abs(sign.bits.round(3)) >= LEAST_TOLD)
        yield _abuse_evidence(sign.layer, at, sign.bits[at], [sign.text[one] for one in at.tolist()])


def _abuse_evidence(layer: str, at: IntArray, bits: FloatArray, sentences: Sequence[str]) -> pd.DataFrame:
    """What speaks for or against the abuse of the clusters `at`; `sentences` come without their end."""
    bits = bits.round(3)
    text = [f"{said} ({worth:+.1f} bits for abuse)." for said, worth in zip(sentences, bits.tolist(), strict=True)]
    return pd.DataFrame(
        {
            "cluster": at, "against": bits < 0, "layer": layer, "bits": bits, "text": pd.Series(text, dtype=object),
            "entity_layer": None, "entity": -1, "accounts": 0,
        }
    )  # fmt: skip


def _harm_evidence(
    accounts: AccountTable, verdicts: Verdicts, cluster: IntArray, count: int, bits: FloatArray
) -> pd.DataFrame:
    inside = cluster >= 0
    frame = accounts.frame

    def total(values: npt.NDArray[np.generic]) -> list[int]:
        found: list[int] = np.bincount(cluster[inside], values[inside], minlength=count).astype(np.int64).tolist()
        return found

    judged, harmful, refused = (total(frame[name].to_numpy()) for name in ("judged", "harmful", "refused"))
    with_harm = total(frame["harmful"].to_numpy() > 0)
    known = np.zeros(len(frame))
    known[verdicts.account] = verdicts.bits
    text = []
    for number, (bad, good) in enumerate(zip(total(known > 0), total(known < 0), strict=True)):
        said = (
            f"{harmful[number]} of {judged[number]} judged events were harmful or refused ({refused[number]} refused)"
        )
        said += f", over {with_harm[number]} members"
        if bad or good:
            said += f"; members known as abusive: {bad}, as benign: {good}"
        text.append(f"{said} ({bits[number]:+.1f} bits for abuse).")
    return pd.DataFrame(
        {
            "cluster": np.arange(count), "against": bits < 0, "layer": HARM_LAYER, "bits": bits.round(3),
            "text": pd.Series(text, dtype=object), "entity_layer": None, "entity": -1, "accounts": with_harm,
        }
    )  # fmt: skip
