"""Learns what the bits are made of, without labels: m and the prior by EM, and what each shared entity is worth.

EM over pairs as for record linkage (Winkler 1988; Enamorado, Fifield and Imai, APSR 2019), with two differences. A
pair counts by account, not by pair: a class of 500 has more pairs than all operations together and would otherwise
set every m. And an entity is judged by its users: where those who share it are alike in everything else as well,
it is one operator's, and where they are strangers in everything else it is a place that strangers meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringwatch.graphs.accounts import FloatArray, IntArray
from ringwatch.graphs.evidence import HIDING, Contrast, Model, Shared
from ringwatch.graphs.habits import HOME
from ringwatch.graphs.ordered import first_of_run
from ringwatch.graphs.pairs import ALL_PAIRS
from ringwatch.pieces import by_pieces, slices

EM_STEPS = 25
EM_SAMPLE = 400_000
PSEUDO_PAIRS = 50.0
"""How many pairs the starting values of m weigh in EM."""

M_RANGE = (0.05, 0.9)
MATES = (0.5, 20.0)
"""Bounds of the prior: the mean number of accounts that share an account's operator."""

OWN_THINGS = ("payment", "organization", "device", "phone", "email")
"""Layers whose entities are somebody's, not places where strangers meet. Families of prompts and chains are, too."""

MET = ("network", "prompts", "tools")
"""Groups of layers whose entities whole populations meet in: a carrier, a language, an agent's usual loop. Of one
population people are alike in several of them at once, so that each would vouch for the others: what their users have
in common can take from such an entity, and add nothing to its frequency."""

FOLLOW = {"prompts": "tools", "tools": "prompts"}
"""What an agent calls follows from what it is asked, so of these two neither is a witness for the other: of how
often mates share in it, or of what an entity of it is worth."""

UNUSUAL = {"prompts": 1, "tools": 2}
"""From this grade on nobody meets in a text, or a chain, by chance; frameworks make long loops of their own."""

ENTITY_STEPS = 8
ENTITY_PAIRS = 4.0
"""How many pairs the frequency of an entity weighs against what its users show."""

USER_PAIRS = 4.0
"""How many pairs the other users of an entity weigh against what one user's own pairs show."""

SIZES = 8
"""Entities are judged together with those of about their size, by octaves, and grade before each is by itself."""

GAIN_RANGE = (-8.0, 8.0)
"""Bounds, in bits, of what the users of an entity can add to its frequency or take."""

_PIECE = 1 << 16


@dataclass(frozen=True)
class Uses:
    """Who uses what of a layer. By use (an account's of an entity that a pair shares): `entity`. By pair that shares
    something: `ends`, the uses of the rarest thing shared by its first and by its second account."""

    entity: IntArray
    ends: tuple[IntArray, IntArray]

    @classmethod
    def of(cls, entity: IntArray, first: IntArray, second: IntArray, n: int) -> Uses:
        """From the entity and the accounts, of n, of each pair that shares something."""
        keys = np.concatenate([entity * n + first, entity * n + second])
        use, dense = np.unique(keys, return_inverse=True)
        return cls(use // n, (dense[: len(entity)], dense[len(entity) :]))


def learn(model: Model, uses: Mapping[str, Uses]) -> Model:
    """m, contrasts and prior by EM over a fixed sample of the pairs, then the entities' gains over all of them.

    `uses` has, by its name, those of each layer that any pair shares something in.
    """
    if len(model) == 0:
        return model
    share = min(1.0, EM_SAMPLE / len(model))
    chosen = np.arange(len(model))
    if share < 1.0:
        chosen = np.linspace(0, len(model) - 1, EM_SAMPLE).astype(np.int64)
        chosen = chosen[first_of_run(chosen)]
    sample = _em(model.on(chosen), share)
    learnt = replace(
        _with_rates(model, sample),
        contrasts=[replace(old, m=new.m) for old, new in zip(model.contrasts, sample.contrasts, strict=True)],
        prior=sample.prior,
    )
    return _judge_entities(learnt, uses)


def _em(sample: Model, share: float) -> Model:
    start = {layer.name: layer.m for layer in sample.shared}
    n = sample.accounts
    hit_by = {group: np.zeros(len(sample), dtype=np.int8) for group in sample.groups}
    for layer in sample.shared:
        hit_by[layer.group][layer.pair] = 1
    groups_hit = sum(hit_by.values(), np.zeros(len(sample), dtype=np.int8))
    # Pairs that are candidates for being alike say nothing of how alike mates are.
    shares = groups_hit > 0
    best = sample.best_bits()
    strongest = [layer.pair[layer.bits >= best[layer.group][layer.pair]] for layer in sample.shared]
    few, of_pair = _patterns(sample, hit_by)
    # A pair is a candidate because it shares something: only pairs that another group made candidates say how often
    # mates share in this one (capture and recapture, which takes captures that are independent).
    elsewhere = {group: groups_hit - hit_by[group] - hit_by.get(FOLLOW.get(group, ""), 0) > 0 for group in hit_by}
    chance = {group: np.flatnonzero(sample.both[group]) for group in hit_by}
    # What a group has to do with a pair's being a candidate says nothing of who has anything there.
    open_ = {group: elsewhere[group] | ~shares for group in sample.presence}
    for _ in range(EM_STEPS):
        few = _with_rates(few, sample)
        p = probability(sample.bits(few.unshared_bits()[of_pair]))
        mates = (np.bincount(sample.first, p, minlength=n) + np.bincount(sample.second, p, minlength=n)) / share
        weight = p * (1 / np.maximum(mates[sample.first], 1) + 1 / np.maximum(mates[sample.second], 1)) / 2
        free = {group: weight * other for group, other in elsewhere.items()}
        chances = {group: free[group][at].sum() + PSEUDO_PAIRS for group, at in chance.items()}
        shared = []
        for layer, pairs in zip(sample.shared, strongest, strict=True):
            hits = free[layer.group][pairs].sum() + PSEUDO_PAIRS * start[layer.name]
            shared.append(replace(layer, m=float(np.clip(hits / chances[layer.group], *M_RANGE))))
        sharing = weight * shares
        contrasts = [_moved(contrast, sharing) for contrast in sample.contrasts]
        presence = {group: _moved(habit, weight * open_[group]) for group, habit in sample.presence.items()}
        prior = float(np.log2(np.clip(mates.mean(), *MATES) / max(n - 1, 1)))
        sample = replace(sample, shared=shared, contrasts=contrasts, presence=presence, prior=prior)
    return sample


def _patterns(model: Model, hit_by: dict[str, npt.NDArray[np.int8]]) -> tuple[Model, IntArray]:
    """One pair for each way there is of sharing nothing, by group, as a model; and where that of each pair is."""
    code = np.zeros(len(model), dtype=np.uint64)
    for group, hit in hit_by.items():
        # Where something is shared it makes no difference how many ends have anything.
        ends = model.presence[group].band if group in model.presence else model.both[group]
        code = code * np.uint64(0x9E3779B97F4A7C15) + np.where(hit > 0, 3, ends).astype(np.uint64)
    _, index, of_pair = np.unique(code, return_index=True, return_inverse=True)
    return model.on(index), of_pair


def _with_rates(model: Model, other: Model) -> Model:
    """A model with what another has learnt of layers and of presence."""
    return replace(
        model,
        shared=[replace(old, m=new.m) for old, new in zip(model.shared, other.shared, strict=True)],
        presence={group: replace(old, m=other.presence[group].m) for group, old in model.presence.items()},
    )


def _moved(contrast: Contrast, weight: FloatArray) -> Contrast:
    # Place 0 is that of the unknown.
    found = np.bincount(contrast.band + np.int8(1), weight, minlength=len(contrast.u) + 1)[1:]
    seen: FloatArray = found + PSEUDO_PAIRS * contrast.u
    chance = seen.sum() * contrast.u
    # Fewer than by chance say nothing where chance gives hardly one.
    m = contrast.u * np.where(seen < chance, (seen + 1) / (chance + 1), seen / chance)
    return replace(contrast, m=m / m.sum())


@dataclass(frozen=True)
class _Users:
    """What does not change while the entities of a layer are judged.

    `level` and, by pair, `rarity` are together the log2 odds from frequency alone. By pair as well: `entity`, `band`
    (grade, octave of size, from 1; 0 if large).
    By band: `usual`, log2 odds of the mean chance by frequency, and `size`, how many pairs.
    By entity: `pairs`, those there are in all (`looked`), log2 odds of the mean chance by frequency (`first`), `most`
    gain. By user of an entity: `use` (the entity), `ties` (pairs). `ends`: by pair the positions there of either end.
    """

    level: float
    rarity: FloatArray
    entity: IntArray
    band: npt.NDArray[np.int16]
    usual: FloatArray
    size: IntArray
    pairs: IntArray
    looked: FloatArray
    first: FloatArray
    most: FloatArray
    use: IntArray
    ties: IntArray
    ends: tuple[IntArray, IntArray]


def _users(model: Model, layer: Shared, uses: Uses) -> _Users:
    entity, users = layer.entity, layer.users
    met = np.bincount(entity, minlength=len(users))
    pairs = np.maximum(met, 1)
    users = np.where(users > 0, users, met + 1)
    # Of a large entity only those pairs are seen that share something else as well: the others are strangers.
    looked = np.where(users > ALL_PAIRS, np.maximum(users * (users - 1) / 2, pairs), pairs)
    band = np.minimum(np.log2(users), SIZES - 1).astype(np.int16) + np.int16(1)
    if layer.grade is not None:
        band += (SIZES * layer.grade).astype(np.int16)
    band = np.where(users > ALL_PAIRS, np.int16(0), band)[entity]
    level = model.prior + float(np.log2(layer.m))
    # Mates behind one entity are some of all mates: of n accounts, d users cannot make it worth more than (n / d)².
    rarity = np.full(len(users), np.inf)
    np.minimum.at(rarity, entity, layer.rarity)
    most = np.clip(rarity - np.log2(layer.m), 0.0, GAIN_RANGE[1])
    if layer.event or layer.group in MET:
        unusual = layer.grade is not None and layer.grade >= UNUSUAL[layer.group]
        most = np.where(unusual, most, 0.0)
    chance, size = probability(level + layer.rarity), np.bincount(band)
    return _Users(
        level,
        layer.rarity,
        entity,
        band,
        _logit_of_mean(chance, band, size),
        size,
        pairs,
        looked,
        _logit(np.bincount(entity, chance, len(users)) / pairs),
        most,
        uses.entity,
        np.add(*(np.bincount(end, minlength=len(uses.entity)) for end in uses.ends)),
        uses.ends,
    )


def _judge_entities(model: Model, uses: Mapping[str, Uses]) -> Model:
    """Moves each entity's bits to what the pairs that share it show in all other groups.

    For an entity whose pairs are mates with chance π, its bits are logit π − prior. π starts from the entity's
    frequency and is the mean posterior of its pairs given everything but their own group, what follows from it
    (`FOLLOW`) and their country, since a name or a phrase of one country is shared by strangers who are all of it;
    entities of about one size are judged together first, and each of its users apart last: a home whose line is an
    operation's proxy as well is no part of the operation.
    """
    known = {layer.name: _users(model, layer, uses[layer.name]) for layer in model.shared if len(layer.pair)}
    unshared = model.unshared_bits()
    home = sum((contrast.bits for contrast in model.contrasts if contrast.name == HOME), np.zeros(len(model)))
    for _ in range(ENTITY_STEPS):
        best = model.best_bits()
        total = model.bits(unshared, best) - home
        gains = {}
        for group in model.groups:
            others = total - model.own_bits(group, best[group])
            if (follows := FOLLOW.get(group)) in best:
                others -= model.own_bits(follows, best[follows])
            for layer in model.shared:
                if layer.group == group and layer.name in known:
                    posterior = _posterior(layer, others)
                    own_thing = layer.grade is not None or layer.name in OWN_THINGS
                    gains[layer.name] = _gain(known[layer.name], posterior, own_thing)
        shared = [replace(one, gain=gains[one.name]) if one.name in gains else one for one in model.shared]
        model = replace(model, shared=shared)
    return model


def _posterior(layer: Shared, others: FloatArray) -> FloatArray:
    """Of the pairs that share something in a layer, from that and from what all other groups say."""
    found, bits = np.empty(len(layer.pair)), layer.bits

    def weigh(at: slice) -> None:
        found[at] = probability(others[layer.pair[at]] + bits[at])

    by_pieces(weigh, slices(len(found), _PIECE))
    return found


def _gain(users: _Users, posterior: FloatArray, own_thing: bool) -> FloatArray:
    common = _logit_of_mean(posterior, users.band, users.size) - users.usual
    common[0] = 0.0  # large entities are not judged by their size
    entities, found = len(users.pairs), np.empty(len(posterior))

    def move(at: slice) -> None:
        found[at] = probability(users.level + users.rarity[at] + common[users.band[at]])

    by_pieces(move, slices(len(found), _PIECE))
    expected = np.bincount(users.entity, found, entities) / users.pairs
    told = np.bincount(users.entity, posterior, entities)
    pure = (told + ENTITY_PAIRS * expected) / (users.looked + ENTITY_PAIRS)
    # Some of an entity's users may be strangers to the rest: a pair is judged by the greater stranger of its ends.
    a, b = users.ends
    seen = np.bincount(a, posterior, len(users.use)) + np.bincount(b, posterior, len(users.use))
    own = (seen + USER_PAIRS * pure[users.use]) / (users.ties + USER_PAIRS)
    mean = told / users.pairs
    like = (seen + USER_PAIRS * mean[users.use]) / (users.ties + USER_PAIRS) if own_thing else own

    def judge(at: slice) -> None:
        entity = users.entity[at]
        pair = _logit(np.minimum(np.minimum(own[a[at]], own[b[at]]), pure[entity]))
        if own_thing:
            # Some operators hide all else: silence is told of pairs already, and of an entity it says no more than
            # once. Who is silent where the others are not is a stranger there all the same.
            odd = np.minimum(_logit(np.minimum(like[a[at]], like[b[at]])) - _logit(mean[entity]), 0.0)
            least = _logit(expected[entity]) + np.log2(HIDING) + odd
            pair = np.where(users.band[at] > 0, np.maximum(pair, least), pair)
        found[at] = np.clip(pair - users.first[entity], GAIN_RANGE[0], users.most[entity])

    by_pieces(judge, slices(len(found), _PIECE))
    return found


def _logit(share: FloatArray) -> FloatArray:
    kept = np.clip(share, 1e-9, 1 - 1e-9)
    odds = 1 - kept
    np.divide(kept, odds, out=odds)
    return np.asarray(np.log2(odds, out=odds))


def _logit_of_mean(value: FloatArray, band: npt.NDArray[np.int16], size: IntArray) -> FloatArray:
    """Log2 odds of the mean of `value` by band, of which each has so many, drawn to those of 0.5 by a single pair."""
    return _logit((np.bincount(band, value) + 0.5) / (size + 1))


def probability(bits: FloatArray) -> FloatArray:
    """The probability that log2 odds stand for."""
    odds = np.clip(bits, -60, 60, out=np.empty_like(bits))
    np.exp2(np.negative(odds, out=odds), out=odds)
    odds += 1.0
    return np.asarray(np.divide(1.0, odds, out=odds))
