"""Families of paraphrases: texts (or sequences of tool calls) that are copies of one template, without all pairs.

Pairs that share skip-grams more than once are looked at (`graphs.overlap`), and judged by the words that they share,
in bits: how much likelier these words are in two copies of one template, each of which keeps about half, than in two
texts by strangers. What is likelier by more than the number of texts that a text could be taken for (log2 of it)
is no accident. Members need not be alike in pairs: once a few are together their common words are known, and
others are judged by these (Heller and Ghahramani, "Bayesian hierarchical clustering", ICML 2005, merges likewise).

Texts on one topic share more words than strangers' texts do, so bits alone would join what is long: members must also
share a share of what they say. And one accidental bridge must not join two families: a pair that no third text
confirms is not enough to do that, the families as wholes have to be alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.language import CODES, KEPT, Language, compare, explained, hit, learn_lifts, learn_rarity, told
from ringwatch.graphs.ordered import first_of_run, starts
from ringwatch.graphs.overlap import Sets, meeting_pairs
from ringwatch.signatures import CODE_BITS

ALIKE = 0.25
"""Least share of what two texts say, in bits, that is common to copies; of families, on average over their pairs."""

RELATED = 0.15
"""Families that are this alike on average, and likelier copies than not, are related though they are not joined."""

NEAR = 0.5
"""Texts this alike count once where it is learnt which words go together."""

STRONGER = (0.4, NEAR, 0.65, 0.8, np.inf)
"""How alike texts have to be to be linked where fewer would do elsewhere, one after the other."""

DOUBT = 3.0
"""Bits beyond even odds that are asked for where one mistake joins families."""

FEW = 2
"""A group of no more texts joins a larger one that is its best, whatever that one's best is."""

PART = 0.25
"""A word that a smaller part of a group's texts has is not taken to explain others there, nor to be explained."""

ROUNDS = 24

STRANGE = 0.5
"""A text that has less than this share of what is common in its family was drawn in by one accidental likeness."""

LOOKED_AT = 64
"""So many texts of a family say how much its texts have in common."""

_CHUNK = 50_000
_PLACES = 4_000_000
_BITS = np.int64(CODE_BITS)


@dataclass(frozen=True)
class Texts:
    """n texts: sketches (pairs of items near each other) and bags (codes of items), as in `ringwatch.signatures`."""

    sketches: Sets
    bags: Sets

    def __len__(self) -> int:
        return len(self.bags)


@dataclass(frozen=True)
class Families:
    """`family`: of each text the least index in its family. `related`: pairs of families (first < second, by that
    index) that resemble each other without being one, and the share of what they say that is common, 0 to 1.
    `bits`: what each text says, log2 of how rare its words are together. `common`: how much of it each text has in
    common with another of its family, on average (0 for one that is alone)."""

    family: IntArray
    related: tuple[IntArray, IntArray, FloatArray]
    bits: FloatArray
    common: FloatArray


def find_families(texts: Texts) -> Families:
    """Joins what is likelier copies of one template than texts by strangers."""
    n, bags = len(texts), texts.bags
    language = learn_rarity(bags)
    said = told(bags, language)
    first, second = meeting_pairs(texts.sketches)
    chosen, any_other = _odds(2 * len(first), n), _odds(n, 1)
    bits, alike = compare(bags, language, said, first, second)
    near = (bits >= any_other) & (alike >= NEAR)
    distinct = np.flatnonzero(_components(first[near], second[near], n) == np.arange(n))
    language = learn_lifts(language, bags, distinct)
    likely = (bits >= 0) & (alike >= RELATED)
    first, second = first[likely], second[likely]
    bits, alike = compare(bags, language, said, first, second)
    close = np.flatnonzero((bits >= chosen) & (alike >= ALIKE))
    joined = close[_confirmed(first[close], second[close], bits[close] >= any_other + DOUBT, n)]
    family = _taken_apart(bags, language, said, first[joined], second[joined], alike[joined])
    links = np.flatnonzero(bits >= 0)
    family, related = _gather(bags, language, family, first[links], second[links], any_other)
    common = _common_bits(bags, language, family)
    family, least = _without_strangers(family, common)
    return Families(family, (least[related[0]], least[related[1]], related[2]), said, common)


def _taken_apart(
    bags: Sets, language: Language, said: FloatArray, first: IntArray, second: IntArray, alike: FloatArray
) -> IntArray:
    """Families that pairs of texts make, by least members. Where less than `ALIKE` of what its texts say is common,
    what words explain of each other left out, texts of a genre lead from template to template, each with a part of
    its words from another: only stronger links count there, and at last none. What is one after all is found from
    wholes."""
    n = len(bags)
    family = _components(first, second, n)
    for least in STRONGER:
        common = np.bincount(family, _common_bits(bags, language, family), minlength=n)
        loose = common < ALIKE * np.bincount(family, said, minlength=n)
        keep = ~loose[family[first]]
        if keep.all():
            break
        keep |= alike >= least
        first, second, alike = first[keep], second[keep], alike[keep]
        family = _components(first, second, n)
    return family


def _common_bits(bags: Sets, language: Language, family: IntArray) -> FloatArray:
    """By text what it has in common with another of its family, on average. `LOOKED_AT` texts of a family are looked
    at; the others are taken to be as these are."""
    n = len(bags)
    sizes = np.bincount(family, minlength=n)
    rows = np.argsort(family, kind="stable")
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = rows[(place < LOOKED_AT) & (sizes[family[rows]] > 1)]
    looked = np.minimum(sizes, LOOKED_AT)
    key = (np.repeat(family[rows], bags.sizes[rows]) << _BITS) | bags.values[bags.elements(rows)].astype(np.int64)
    keys, at, count = np.unique(key, return_inverse=True, return_counts=True)
    owner, code = keys >> _BITS, keys & (CODES - 1)
    left = np.zeros(len(keys))
    usual = np.flatnonzero(count >= PART * looked[owner])
    left[usual] = language.rarity[code[usual]] - explained(language, owner[usual], code[usual])
    shared = np.bincount(np.repeat(rows, bags.sizes[rows]), (left * (count - 1))[at], minlength=n)
    common = shared / np.maximum(looked[family] - 1, 1)
    mean = np.bincount(family[rows], common[rows], minlength=n) / np.maximum(looked, 1)
    others = sizes[family] > LOOKED_AT
    others[rows] = False
    common[others] = mean[family[others]]
    return np.asarray(common)


def _without_strangers(family: IntArray, common: FloatArray) -> tuple[IntArray, IntArray]:
    """Texts leave a family that have far less in common with it than its texts usually have; by least members, where
    a family whose least member leaves takes the name of the least that stays. And by old name the new one."""
    n = len(family)
    usual = np.bincount(family, common, minlength=n) / np.maximum(np.bincount(family, minlength=n), 1)
    stays = common >= STRANGE * usual[family]
    least = np.arange(n)
    least[family] = n
    np.minimum.at(least, family[stays], np.flatnonzero(stays))
    return np.where(stays, least[family], np.arange(n)), least


def _odds(tried: int, among: int) -> float:
    """log2 of how many others each of `among` was tried with, where `tried` were in all: the bits by which one of
    them is a copy as likely as not."""
    return float(np.log2(max(tried / max(among, 1), 1.0)))


def _confirmed(first: IntArray, second: IntArray, sure: BoolArray, n: int) -> BoolArray:
    """Which pairs are sure, or have a third text that is linked to both ends."""
    links = sp.coo_matrix((np.ones(len(first), dtype=np.int32), (first, second)), shape=(n, n)).tocsr()
    links = links + links.T
    confirmed = sure.copy()
    doubtful = np.flatnonzero(~sure)
    for start in range(0, len(doubtful), _CHUNK):
        at = doubtful[start : start + _CHUNK]
        confirmed[at] = np.asarray(links[first[at]].multiply(links[second[at]]).sum(axis=1)).ravel() > 0
    return confirmed


def _components(first: IntArray, second: IntArray, n: int) -> IntArray:
    """The least member of the component of each of n nodes."""
    graph = sp.coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    count, label = sp.csgraph.connected_components(graph, directed=False)
    least = np.full(count, n, dtype=np.int64)
    np.minimum.at(least, label, np.arange(n))
    return np.asarray(least[label])


# -- families as wholes -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Groups:
    """Groups of texts: their least members, how many texts, and how many of these have each code (`keys`: group and
    code, sorted)."""

    least: IntArray
    texts: FloatArray
    keys: IntArray
    counts: FloatArray

    def merged(self, into: IntArray) -> _Groups:
        """The groups that these become; `into` numbers them 0, 1, …"""
        count = int(into.max()) + 1
        least = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(least, into, self.least)
        texts = np.bincount(into, self.texts, minlength=count).astype(float)
        keys = (into[self.keys >> _BITS] << _BITS) | (self.keys & (CODES - 1))
        return _summed(keys, self.counts, least, texts)


def _summed(keys: IntArray, counts: FloatArray, least: IntArray, texts: FloatArray) -> _Groups:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begin = starts(keys)
    return _Groups(least, texts, keys[begin], np.add.reduceat(counts[order], begin) if len(keys) else counts)


def _gather(
    bags: Sets, language: Language, family: IntArray, first: IntArray, second: IntArray, any_other: float
) -> tuple[IntArray, tuple[IntArray, IntArray, FloatArray]]:
    """Merges families that are one as wholes, over the pairs of texts that link them; what stays apart is related.

    A round merges those that are each other's best, and a text or two with the family that is their best.
    """
    n = len(family)
    size = np.bincount(family, minlength=n)
    a, b = family[first], family[second]
    least = np.unique(np.concatenate([a[a != b], b[a != b]]))
    number = np.full(n, -1, dtype=np.int64)
    number[least] = np.arange(len(least))
    rows = np.flatnonzero(number[family] >= 0)
    owner = np.repeat(number[family[rows]], bags.sizes[rows])
    code = bags.values[bags.elements(rows)].astype(np.int64)
    groups = _summed((owner << _BITS) | code, np.ones(len(code)), least, size[least].astype(float))
    a, b, _ = _links(number[a], number[b])
    bits, alike = _resemblance(groups, language, a, b)
    chosen = _odds(2 * int((groups.texts[a] + groups.texts[b] > 2).sum()), int((groups.texts > 1).sum()))
    for _ in range(ROUNDS):
        alone = groups.texts[a] + groups.texts[b] == 2
        good = (bits >= np.where(alone, any_other, chosen + DOUBT)) & (alike >= ALIKE)
        if not good.any():
            break
        into = _best(groups.texts, a[good], b[good], bits[good])
        grown = np.bincount(into) > 1
        family = _renamed(family, groups.least, into)
        groups = groups.merged(into)
        a, b, place = _links(into[a], into[b])
        bits, alike = bits[place], alike[place]
        again = np.flatnonzero(grown[a] | grown[b])
        bits[again], alike[again] = _resemblance(groups, language, a[again], b[again])
    related = np.flatnonzero((bits >= 0) & (alike >= RELATED))
    return family, (groups.least[a[related]], groups.least[b[related]], alike[related])


def _links(a: IntArray, b: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Different ends once, the lesser first, sorted; and a place where each was found."""
    apart = np.flatnonzero(a != b)
    key, place = np.unique((np.minimum(a, b)[apart] << np.int64(32)) | np.maximum(a, b)[apart], return_index=True)
    return key >> np.int64(32), key & np.int64(0xFFFFFFFF), apart[place]


def _best(texts: FloatArray, a: IntArray, b: IntArray, bits: FloatArray) -> IntArray:
    """What each group becomes: together are those that are each other's best, and small ones with a larger best."""
    n = len(texts)
    end, other, worth = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([bits, bits])
    order = np.lexsort((other, -worth, end))
    top = order[first_of_run(end[order])]
    best = np.full(n, -1, dtype=np.int64)
    best[end[top]] = other[top]
    has = np.flatnonzero(best >= 0)
    goes = has[(best[best[has]] == has) | ((texts[has] <= FEW) & (texts[best[has]] > FEW))]
    return np.unique(_components(goes, best[goes], n), return_inverse=True)[1].astype(np.int64)


def _renamed(family: IntArray, least: IntArray, into: IntArray) -> IntArray:
    """Families by their least members, after groups with these least members have become one."""
    first = np.full(int(into.max()) + 1, len(family), dtype=np.int64)
    np.minimum.at(first, into, least)
    name = np.arange(len(family))
    name[least] = first[into]
    return np.asarray(name[family])


def _resemblance(groups: _Groups, language: Language, a: IntArray, b: IntArray) -> tuple[FloatArray, FloatArray]:
    """What `compare` gives for two texts, on average over the texts of one group against the words of another.

    A template hands a word on with the chance that the group's texts have it, drawn towards none as if there were
    one text more that has about half of them.
    """
    number = len(groups.least)
    asked = np.zeros(number, dtype=np.bool_)
    asked[a] = asked[b] = True
    held = asked[groups.keys >> _BITS]
    keys, counts = groups.keys[held], groups.counts[held]
    owner, code = keys >> _BITS, keys & (CODES - 1)
    start = np.searchsorted(owner, np.arange(number + 1))
    chance = counts / (groups.texts[owner] + 1 / KEPT - 1)
    share = counts / groups.texts[owner]
    missing = np.log2(1 - chance)
    rarity = language.rarity[code]
    most = np.full(len(code), np.inf)
    usual = np.flatnonzero(share >= PART)
    most[usual] = explained(language, owner[usual], code[usual])
    base = np.bincount(owner, missing, minlength=number) + np.log2(1 - KEPT) * np.bincount(
        owner, share, minlength=number
    )
    weight = np.bincount(owner, share * rarity, minlength=number)
    bits, common = base[a] + base[b], np.zeros(len(a))
    width = np.diff(start)
    low, high = np.where(width[a] <= width[b], a, b), np.where(width[a] <= width[b], b, a)
    for at, mine, its in _common(keys, start, low, high):
        left = rarity[mine] - np.minimum(most[mine], most[its])
        for x, y in ((mine, its), (its, mine)):
            gain = share[x] * (hit(left, chance[y]) - missing[y] - np.log2(1 - KEPT))
            bits += np.bincount(at, gain, minlength=len(a))
        common += np.bincount(at, share[mine] * share[its] * rarity[mine], minlength=len(a))
    return bits / 2, 2 * common / np.maximum(weight[a] + weight[b], 1e-9)


def _common(
    keys: IntArray, start: IntArray, low: IntArray, high: IntArray
) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Codes that groups `low` and `high` share: the pair, and the places of the code in either's keys. Groups of few
    codes are looked up in those of many."""
    width = np.diff(start)[low]
    for part in np.array_split(np.arange(len(low)), int(width.sum()) // _PLACES + 1):
        pair = np.repeat(part, width[part])
        mine = np.repeat(start[low[part]] - (np.cumsum(width[part]) - width[part]), width[part])
        mine = mine + np.arange(len(mine))
        wanted = (high[pair] << _BITS) | (keys[mine] & (CODES - 1))
        its = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = keys[its] == wanted
        yield pair[found], mine[found], its[found]
