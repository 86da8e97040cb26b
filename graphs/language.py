"""How surprising it is that two texts share words: how rare each is in the corpus, and which go together anyway.

Words are codes in bags (`ringwatch.signatures`), so that a corpus can be learnt from without its text. Rarity alone
takes words for independent, which those of one topic or of one idiom are not: who says "last" says "time". So the
words that two texts share are explained by each other, each by the more common one that it goes with most (a
dependence tree as of Chow and Liu, "Approximating discrete probability distributions with dependence trees", IEEE
Trans. Inf. Theory 1968), and only what is left counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.accounts import FloatArray, IntArray
from ringwatch.graphs.overlap import Sets, shared
from ringwatch.pieces import by_pieces, slices
from ringwatch.signatures import BAG_SIZE, CODE_BITS

CODES = 1 << CODE_BITS

KEPT = 0.5
"""Share of the words of a copy that another copy of the same template is taken to have: each replaces some 30 %."""

BACKGROUND = 1000
"""A text's words are compared with those of the others, and of so many more that have none of them: a language is
wider than a small corpus."""

COMMON = 2048
"""Of so many words, the most common, it is learnt which go together."""

SAMPLE = 200_000
"""From so many texts."""

SEEN = 20
"""A word of fewer texts says nothing about which it goes with."""

SMOOTH = 5.0
"""Texts with both words that are added to those seen, and to those expected by chance."""

_CHUNK, _PIECE = 20_000, 50_000


@dataclass(frozen=True)
class Language:
    """`rarity`: log2(1 / share of texts that have it) of each code; `rank`: its place among the most common ones
    (-1: none of them); `lift`: by rank, log2 of how much oftener two stand in one text than by chance, 0 or more."""

    rarity: FloatArray
    rank: IntArray
    lift: npt.NDArray[np.float32]


def learn_rarity(bags: Sets) -> Language:
    """Rarities, and no word that goes with another."""
    # The counts of a piece at a time: the codes as whole numbers would take four times their room.
    parts = slices(len(bags.values), 1 << 20)
    texts = sum((np.bincount(bags.values[at], minlength=CODES) for at in parts), np.zeros(CODES, dtype=np.int64))
    rarity = np.log2((len(bags) + BACKGROUND) / np.maximum(texts, 1))
    return Language(rarity, np.full(CODES, -1, dtype=np.int64), np.zeros((0, 0), dtype=np.float32))


def learn_lifts(language: Language, bags: Sets, rows: IntArray) -> Language:
    """The same language with the lifts that the texts `rows` show: near-duplicates left out, or else what only copies
    of one text say would seem to go together anyway."""
    rows = rows[:SAMPLE]
    codes = bags.values[bags.elements(rows)].astype(np.int64)
    texts = np.bincount(codes, minlength=CODES)
    common = np.argsort(-texts, kind="stable")[:COMMON]
    common = common[texts[common] >= SEEN]
    rank = np.full(CODES, -1, dtype=np.int64)
    rank[common] = np.arange(len(common))
    column = rank[codes]
    known = column >= 0
    row = np.repeat(np.arange(len(rows)), bags.sizes[rows])[known]
    has = sp.csr_matrix((np.ones(len(row), dtype=np.float32), (row, column[known])), shape=(len(rows), len(common)))
    both = (has.T @ has).toarray()
    chance = np.outer(texts[common], texts[common]) / max(len(rows), 1)
    lift = np.log2((both + SMOOTH) / (chance + SMOOTH)).astype(np.float32)
    np.fill_diagonal(lift, 0.0)
    return Language(language.rarity, rank, np.maximum(lift, 0.0))


def explained(language: Language, group: IntArray, code: IntArray) -> FloatArray:
    """Bits of each code that a more common one of its group explains; `group` rises.

    The codes of a group that is shared by two texts say rarity less this much.
    """
    # No group is cut.
    ends = np.searchsorted(group, group[np.arange(_PIECE, len(code), _PIECE)], side="right")
    bounds = np.unique(np.concatenate([[0], ends, [len(code)]])).tolist()
    pieces = [slice(*both) for both in pairwise(bounds)]
    found = by_pieces(lambda at: _explained(language, group[at], code[at]), pieces)
    return np.concatenate([np.zeros(0), *found])


def _explained(language: Language, group: IntArray, code: IntArray) -> FloatArray:
    rank = language.rank[code]
    known = np.flatnonzero(rank >= 0)
    known = known[np.argsort(group[known] * COMMON + rank[known])]
    group, rank = group[known], rank[known]
    most = np.zeros(len(known), dtype=np.float32)
    for step in range(1, len(known)):
        same = np.flatnonzero(group[step:] == group[:-step])
        if not len(same):
            break
        most[same + step] = np.maximum(most[same + step], language.lift[rank[same + step], rank[same]])
    out = np.zeros(len(code))
    out[known] = np.minimum(most, language.rarity[code[known]])
    return out


def told(bags: Sets, language: Language) -> FloatArray:
    """What each text says, in bits, were its words independent."""
    sums = np.concatenate([np.zeros(1), np.cumsum(language.rarity[bags.values])])
    return np.asarray(np.diff(sums[bags.offsets]))


def compare(
    bags: Sets, language: Language, said: FloatArray, first: IntArray, second: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Of pairs of texts the bits that say copies, not strangers, and the share of what both say that is common;
    `said` is what `told` says of each text.

    A word of one is in the other with chance KEPT + (1 - KEPT) p if they are copies, with chance p by accident, and
    missing from it with 1 - KEPT against 1. Of texts of more than `BAG_SIZE` words, which are known by samples, those
    parts of the samples are compared that reach as far.
    """
    end = np.full(len(bags), CODES, dtype=np.int64)
    full = np.flatnonzero(bags.sizes >= BAG_SIZE)
    end[full] = bags.values[bags.offsets[full + 1] - 1]
    bits = np.log2(1 - KEPT) * (bags.sizes[first] + bags.sizes[second])
    weight = said[first] + said[second]
    common = np.zeros(len(first))
    has = bags.rows()

    def judge(part: slice) -> None:
        at, codes = shared(has, first[part], second[part])
        reach = np.minimum(end[first[part]], end[second[part]])
        for rows in (first[part], second[part]):
            _cut(bags, language, rows, reach, bits[part], weight[part])
        inside = codes <= reach[at]
        pair, code = at[inside], codes[inside]
        left = language.rarity[code] - explained(language, pair, code)
        bits[part] += np.bincount(pair, hit(left) - 2 * np.log2(1 - KEPT), minlength=len(reach))
        common[part] = np.bincount(pair, language.rarity[code], minlength=len(reach))

    by_pieces(judge, slices(len(first), _CHUNK))
    return bits, 2 * common / np.maximum(weight, 1e-9)


def hit(rarity: FloatArray, chance: float | FloatArray = KEPT) -> FloatArray:
    """Bits of a word that a copy has and that a template hands on with this chance."""
    return np.asarray(np.log2(chance * np.exp2(rarity) + 1 - KEPT))


def _cut(
    bags: Sets, language: Language, rows: IntArray, reach: IntArray, bits: FloatArray, weight: FloatArray
) -> None:
    """Takes from bits and weight what these texts say beyond the reach of their pair."""
    at = np.flatnonzero((bags.sizes[rows] > 0) & (bags.values[bags.offsets[rows + 1] - 1] > reach))
    owner = np.repeat(at, bags.sizes[rows[at]])
    code = bags.values[bags.elements(rows[at])].astype(np.int64)
    beyond = code > reach[owner]
    bits -= np.log2(1 - KEPT) * np.bincount(owner[beyond], minlength=len(rows))
    weight -= np.bincount(owner[beyond], language.rarity[code[beyond]], minlength=len(rows))
