"""Looks at every candidate pair through every layer: what it shares, how rare that is, how far apart it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.abuse import Harm
from ringwatch.graphs.accounts import DAY, AccountTable, BoolArray, Column, FloatArray, IntArray, ranked
from ringwatch.graphs.evidence import Contrast, Model, Shared
from ringwatch.graphs.habits import Bands, Habit, home
from ringwatch.graphs.layers import Incidence, Relation
from ringwatch.graphs.learning import MATES, MET, Uses, learn
from ringwatch.graphs.pairs import ALL_PAIRS
from ringwatch.pieces import by_pieces, slices

PIECE = 50_000
MINUTE = 60e6
SIGNUP_BANDS = np.r_[np.array([1 / 6, 1, 10, 60, 360]) * MINUTE, np.array([1, 2, 4, 8, 16, 32, 64]) * DAY]
FEATURE_BANDS = np.array([0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
SIGNUP_WORDS = [
    "within 10 seconds", "within a minute", "within 10 minutes", "within an hour", "within 6 hours", "within a day",
    "within 2 days", "within 4 days", "within 8 days", "within 16 days", "16 to 32 days apart", "32 to 64 days apart",
    "more than 64 days apart",
]  # fmt: skip
FEATURE_WORDS = [f"within {share:g} % of all accounts of each other" for share in (100 * FEATURE_BANDS).round(2)] + [
    "far apart"
]
MISUSE_WORDS = [
    "neither looks harmful", "one looks harmful, the other not", "both look harmful, of no category in common",
    "both look harmful, of one category",
]  # fmt: skip
USE_WORDS = ["one of them once", *(f"at least {1 << octave} times each" for octave in range(1, 6))]
PRESENCE_WORDS = ["on neither side", "on one side only", "on both sides"]
HARMFUL = 0.5
"""Least probability of the harmful kind at which an account counts as doing harm."""

RANDOM_PAIRS = 400_000
DOUBLING = 0.5
"""Bits that a doubling of what is shared adds, of what is somebody's own."""

DEGREE_POWER = 0.5
"""How strongly the degrees of both ends weaken a direct relation (0: not, 1: the configuration model)."""


def build_model(
    accounts: AccountTable,
    incidences: list[Incidence],
    relations: list[Relation],
    first: IntArray,
    second: IntArray,
    *,
    seed: int,
    harm: Harm | None = None,
    without: Collection[str] = (),
    habits: Sequence[Habit] = (),
) -> Model:
    """Compares the ends of the sorted candidate pairs, then learns m, the entities' gains and the prior.

    `harm` is what all accounts do and write; without it no two are compared by what they are used for.
    `without` names contrasts, and groups of them (`signup`, `features`, `presence`, `hours` …), to leave out.
    """
    n, out = len(accounts), frozenset(without)
    country = accounts.frame["country"].to_numpy(dtype=np.int64)
    met = [_share(incidence, first, second, n, country) for incidence in incidences]
    used = [one for _, _, one in met if one is not None and not out & {one.name, one.group}]
    met += [(*_relate(relation, first, second, n, country), None) for relation in relations]
    shared, uses = [layer for layer, _, _ in met], {layer.name: one for layer, one, _ in met}
    habits = [*_own_columns(accounts), *home(country), *habits]
    habits = [habit for habit in habits if not out & {habit.name, habit.group}]
    contrasts = [*_contrasts(habits, shared, first, second, n, np.random.default_rng(seed)), *used]
    if harm is not None:
        contrasts += [one for one in _misuse(accounts, harm, first, second) if not out & {one.name, one.group}]
    prior = float(np.log2(MATES[1] / max(n, 2)))
    has = _holders(incidences, relations, n)
    both = {group: some[first] & some[second] for group, some in has.items()}
    # To have been part of some event is no habit.
    specs = [one.spec for one in incidences] + [one.spec for one in relations]
    lasting = {spec.group for spec in specs if not spec.event}
    presence = {} if "presence" in out else _presence(has, sorted(lasting), first, second)
    return learn(Model(n, first, second, shared, contrasts, both, prior, presence), uses)


def _holders(incidences: list[Incidence], relations: list[Relation], n: int) -> dict[str, BoolArray]:
    """Which accounts have anything, by group of layers."""
    groups = {one.spec.group for one in incidences} | {one.spec.group for one in relations}
    has = {group: np.zeros(n, dtype=np.bool_) for group in sorted(groups)}
    for incidence in incidences:
        has[incidence.spec.group][incidence.account] = True
    for relation in relations:
        has[relation.spec.group][relation.src] = has[relation.spec.group][relation.dst] = True
    return has


def _presence(
    has: dict[str, BoolArray], groups: Sequence[str], first: IntArray, second: IntArray
) -> dict[str, Contrast]:
    """By group how many ends of a pair have anything there; none for a group that all accounts have, or none has."""
    found = {}
    for group in groups:
        some = has[group]
        share = float(some.mean())
        if 0 < share < 1:
            u = np.array([(1 - share) ** 2, 2 * share * (1 - share), share**2])
            band = some[first].astype(np.int8) + some[second]
            text = f"Traces of {group.replace('_', ' ')} mostly"
            found[group] = Contrast(f"{group}_presence", group, text, band, u, u.copy(), PRESENCE_WORDS)
    return found


def _share(
    incidence: Incidence, first: IntArray, second: IntArray, n: int, country: IntArray
) -> tuple[Shared, Uses, Contrast | None]:
    degree = incidence.degree
    u = np.minimum(np.maximum(np.maximum(degree, incidence.expected) / n, incidence.floor), 1.0)
    rarity = np.log2(1.0 / u)
    useful = degree[incidence.entity] >= 2
    account, entity = incidence.account[useful], incidence.entity[useful]
    # Columns by rising rarity, so that the greatest shared column is the rarest shared entity.
    order = np.lexsort((incidence.code, rarity))
    column = np.empty(len(order), dtype=np.int64)
    column[order] = np.arange(len(order))
    matrix = sp.csr_matrix((incidence.count[useful], (account, column[entity])), shape=(n, max(len(order), 1)))
    matrix.sum_duplicates()
    times, matrix.data = matrix.data, np.ones_like(matrix.data)
    found = _rarest(matrix, first, second)
    spec, pair, ends, entity, users = incidence.spec, found.pair, found.ends, order[found.column], degree
    # How many they share of what populations meet in says nothing; moments of an address are told apart already.
    several = np.zeros(len(pair)) if spec.group in MET and not spec.event else np.log2(found.count)
    worth = rarity[entity] - _tries(matrix, u[order], found, several) + DOUBLING * several
    worth -= _commoner_at_home(incidence, rarity, entity, country[first[pair]], country[second[pair]], country)
    if incidence.refined is None:
        there = np.zeros(matrix.nnz, dtype=np.bool_)
        there[ends[0]] = there[ends[1]] = True
        number = np.cumsum(there) - 1
        uses = Uses(order[matrix.indices[there]], (number[ends[0]], number[ends[1]]))
    else:
        # All pairs of a moment are looked at, and those of all moments of one entity judge it.
        entity, users = incidence.refined.unit[entity], np.minimum(incidence.refined.users, ALL_PAIRS)
        uses = Uses.of(entity, first[pair], second[pair], n)
    layer = Shared(
        spec.name, spec.group, spec.text, pair, worth, found.count,
        entity, spec.m, np.zeros(len(pair)), users, incidence.floor > degree / n, spec.event, incidence.grade,
    )  # fmt: skip
    family = incidence.grade is not None and len(pair) > 0
    return layer, uses, _used(layer, np.minimum(times[ends[0]], times[ends[1]]), len(first)) if family else None


def _used(layer: Shared, times: IntArray, pairs: int) -> Contrast:
    """How often both ends, of so many pairs, send what they share; `times` is that of the one who does it less, by
    pair that shares anything. Strangers meet in a phrase in passing; an operator's accounts work with a template.

    Nearly all who share a family are strangers, so u is theirs. A family counts by the root of its pairs, about as
    many as it has users: else the few that whole populations write would be all of it.
    """
    band = np.full(pairs, -1, dtype=np.int8)
    band[layer.pair] = np.minimum(np.log2(times), len(USE_WORDS) - 1)
    weight = np.bincount(layer.entity)[layer.entity] ** -0.5
    count = np.bincount(band[layer.pair], weight, minlength=len(USE_WORDS)) + 0.5
    u: FloatArray = (count / count.sum()).astype(np.float64)
    return Contrast(f"{layer.name}_use", "use", f"Both sent {layer.text}, mostly", band, u, u.copy(), USE_WORDS)


@dataclass(frozen=True)
class _Rarest:
    """By pair that shares anything: `pair` (its position), the greatest `column` that both rows have, the `count` of
    such columns, and `ends`, the places of that column's entries among those of the matrix."""

    pair: IntArray
    column: IntArray
    count: IntArray
    ends: tuple[IntArray, IntArray]


def _rarest(matrix: sp.csr_matrix, first: IntArray, second: IntArray) -> _Rarest:
    """`matrix` is all ones, its rows sorted."""
    # A product with ones keeps what the other holds: here the places of its entries, from 1.
    places = sp.csr_matrix((np.arange(1, matrix.nnz + 1), matrix.indices, matrix.indptr), shape=matrix.shape)
    filled = np.diff(matrix.indptr) > 0
    alive = np.flatnonzero(filled[first] & filled[second])

    def meet(piece: slice) -> tuple[IntArray, ...]:
        part = alive[piece]
        a, b = first[part], second[part]
        mine, its = places[a].multiply(matrix[b]), matrix[a].multiply(places[b])
        count = np.diff(mine.indptr)
        some = np.flatnonzero(count)
        last = mine.indptr[some + 1] - 1
        return part[some], mine.indices[last], count[some], mine.data[last] - 1, its.data[last] - 1

    parts = [(np.zeros(0, dtype=np.int64),) * 5, *by_pieces(meet, slices(len(alive), PIECE))]
    pair, column, count, mine, its = (np.concatenate(one).astype(np.int64) for one in zip(*parts, strict=True))
    return _Rarest(pair, column, count, (mine, its))


def _tries(matrix: sp.csr_matrix, u: FloatArray, found: _Rarest, several: FloatArray) -> FloatArray:
    """What the tries of both ends take from the rarity of what they share: who has fifty addresses meets a stranger
    in one of them fifty times as easily (the configuration model; Newman, "The structure and function of complex
    networks", SIAM Review 2003, section IV.B, of accounts and entities).

    Of t tries of one and s of the other, things as rare as what they share or rarer, t·s·C meet by chance, where C is
    Σ d² over the square of Σ d, of all such things with d users each. Where fewer than all have any, having one is a
    part of the chance: n stands for one Σ d. `several` is log2 of how many things count as met in together: all four
    cards of one, which are all four of the other, are met in once.

    Columns of the matrix of accounts and entities come by rising rarity; `u` is the chance of each.
    """
    n = matrix.shape[0]
    row = np.repeat(np.arange(n, dtype=np.int64), np.diff(matrix.indptr))
    chance = u[matrix.indices]
    # Equally rare ones are tries alike, whatever their order.
    new = np.append(True, (row[1:] != row[:-1]) | (chance[1:] != chance[:-1]))[: len(row)]
    start = np.flatnonzero(new)[np.cumsum(new) - 1]
    alike = np.searchsorted(-u, -u)
    users, pairs = (np.cumsum(part[::-1])[::-1][alike] for part in (u * n, (u * n) ** 2))
    meeting = np.log2(pairs / (users * np.maximum(users, n)))
    tries = np.log2(matrix.indptr[row + 1] - start)
    met = tries[found.ends[0]] + tries[found.ends[1]] + meeting[found.column]
    return np.asarray(np.maximum(np.log2(-np.expm1(-np.exp2(met)) / u[found.column]) - 2 * several, 0.0))


def _commoner_at_home(
    incidence: Incidence, rarity: FloatArray, entity: IntArray, a: IntArray, b: IntArray, country: IntArray
) -> FloatArray:
    """By how many bits entities are commoner among the accounts of the country that both ends (of countries a and b,
    -1 for none) are of than among all: people of one country meet in its carriers and its language alike."""
    less = np.zeros(len(entity))
    near = np.flatnonzero((a == b) & (a >= 0))
    if len(near) == 0:
        return less
    people = np.bincount(country[country >= 0])
    known = country[incidence.account] >= 0
    key, users = np.unique(
        incidence.entity[known] * len(people) + country[incidence.account[known]], return_counts=True
    )
    at = np.searchsorted(key, entity[near] * len(people) + a[near])
    less[near] = np.maximum(rarity[entity[near]] - np.log2(people[a[near]] / users[at]), 0.0)
    return less


def _relate(relation: Relation, first: IntArray, second: IntArray, n: int, country: IntArray) -> tuple[Shared, Uses]:
    degree = np.bincount(np.r_[relation.src, relation.dst], minlength=n).astype(np.float64)
    key = np.unique(np.minimum(relation.src, relation.dst) * n + np.maximum(relation.src, relation.dst))
    pair = np.searchsorted(first * n + second, key)
    a, b = key // n, key % n
    # People deal with people of their country: between two of one it is as common as it is there.
    home = np.where(country[a] == country[b], country[a], -1)
    people, dealings = (np.bincount(of[of >= 0], minlength=country.max(initial=0) + 1) for of in (country, home))
    anywhere = len(key) / n**2
    there = np.where(home >= 0, dealings[home] / people[home].clip(1) ** 2, anywhere)
    chance = 2 * np.maximum(there, anywhere) * (degree[a] * degree[b] / degree.mean() ** 2) ** DEGREE_POWER
    rarity = -np.log2(np.minimum(chance, 1.0))
    # An account of many relations is judged by all of them, as an entity is by its users.
    hub = np.where(degree[a] >= degree[b], a, b)
    spec = relation.spec
    one, gain = np.ones(len(pair), dtype=np.int64), np.zeros(len(pair))
    users, common = np.zeros(n, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    layer = Shared(spec.name, spec.group, spec.text, pair, rarity, one, hub, spec.m, gain, users, common)
    return layer, Uses.of(hub, a, b, n)


def _contrasts(
    habits: Sequence[Habit], shared: list[Shared], first: IntArray, second: IntArray, n: int, rng: np.random.Generator
) -> list[Contrast]:
    """The pairs by bands, and u of each band from random pairs; what is the same for all, or unknown, is left out."""
    if n < 2:
        return []
    left = rng.integers(0, n, RANDOM_PAIRS)
    right = (left + rng.integers(1, n, RANDOM_PAIRS)) % n
    found = []
    for habit in habits:
        band = _bands(habit, first, second)
        for layer in shared:
            if habit.silent & {layer.name, layer.group}:
                band[layer.pair] = -1
        random = _bands(habit, left, right)
        if (band >= 0).sum() == 0 or np.ptp(random) == 0:
            continue
        size = len(habit.words)
        u = (np.bincount(random[random >= 0], minlength=size) + 0.5) / ((random >= 0).sum() + 0.5 * size)
        found.append(
            Contrast(
                habit.name, habit.group, habit.text, band, u, u.copy(), habit.words, habit.against, habit.at_will
            )
        )
    return found


def _bands(habit: Habit, a: IntArray, b: IntArray) -> Bands:
    parts = by_pieces(lambda at: habit.band(a[at], b[at]), slices(len(a), PIECE))
    return np.concatenate([np.zeros(0, dtype=np.int8), *parts])


def _own_columns(accounts: AccountTable) -> list[Habit]:
    """How far apart two sign-ups are, and how far apart values of the features."""
    signup = accounts.created

    def apart(a: IntArray, b: IntArray) -> FloatArray:
        return np.abs(signup[a] - signup[b])

    found = [_banded("signup", "signup", "Sign-ups mostly", apart, SIGNUP_BANDS, SIGNUP_WORDS)]
    for name, column in accounts.feature_ranks.items():
        text = f"Values of {name[2:]} mostly"
        found.append(_banded(name, "features", text, column.gap, FEATURE_BANDS, FEATURE_WORDS))
    return found


def _banded(
    name: str,
    group: str,
    text: str,
    gap: Callable[[IntArray, IntArray], FloatArray],
    edges: FloatArray,
    words: list[str],
) -> Habit:
    return Habit(name, group, text, words, lambda a, b: _band(gap(a, b), edges))


def _misuse(accounts: AccountTable, harm: Harm, first: IntArray, second: IntArray) -> list[Contrast]:
    """One operator's accounts are used for one purpose: who does harm beside whom, and of what category.

    An account whose conduct leaves that open (few events, or a few alarms) is unknown; u is exact, from the shares of
    accounts of each sort.
    """
    kind = accounts.frame["harm_kind"].to_numpy(dtype=np.int64)
    harmful, clean = harm.posterior > HARMFUL, harm.bits < 0
    known = max(int(harmful.sum() + clean.sum()), 1)
    of_kind = np.bincount(kind[harmful & (kind >= 0)]) / known
    bad, one = harmful.sum() / known, float((of_kind**2).sum())
    if bad == 0:
        return []
    u = np.array([(1 - bad) ** 2, 2 * bad * (1 - bad), bad**2 - one, one]) + 1 / known**2
    both = harmful[first] & harmful[second]
    alike = both & (kind[first] == kind[second]) & (kind[first] >= 0)
    band = np.where(both, 2 + alike, harmful[first] | harmful[second]).astype(np.int8)
    band[~((harmful | clean)[first] & (harmful | clean)[second])] = -1
    u /= u.sum()
    # Whoever sends a harmful text does harm: of the two, the stronger counts.
    words = "Of the two ends of a pair, by flags and words, mostly"
    return [Contrast("misuse", "prompts", words, band, u, u.copy(), MISUSE_WORDS)]


def behaviour(accounts: AccountTable) -> list[Column]:
    """Sign-up and features as ranks: what pairs of accounts can be near in, though they share nothing."""
    return [ranked(accounts.created), *accounts.feature_ranks.values()]


def _band(gap: FloatArray, edges: FloatArray) -> Bands:
    return np.where(np.isnan(gap), -1, np.searchsorted(edges, gap)).astype(np.int8)
