"""Which candidate pairs tie, and how much: those that stand as they are, doubtful ones by what they say together.

A doubtful pair ties nobody by itself, but an account may be alike to the same others in several doubtful ways. What
the pairs of one entity say is not several things, though: thirty strangers behind one address are one accident or one
operator, all at once. So an account's doubtful pairs of one entity count together as `CROWD` of them at most.
"""

from __future__ import annotations

import numpy as np

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.communities import LEAST_BITS
from ringwatch.graphs.evidence import STAND, Model
from ringwatch.graphs.layers import PROMPT_FAMILY

CROWD = 6
"""How many doubtful pairs of one entity an account is tied by at most."""


def tying(model: Model, bits: FloatArray) -> tuple[IntArray, FloatArray, BoolArray]:
    """The pairs that tie (positions, rising), bits of all pairs as far as they tie, and which of those that tie share
    nothing that says more of them than what they wrote; `bits` is what all pairs have."""
    close = np.flatnonzero(bits > LEAST_BITS)
    source, layer = _strongest(model, close)
    some = np.flatnonzero((bits[close] <= STAND) & (source >= 0))
    pairs, entity = close[some], source[some]
    ends = np.concatenate([model.first[pairs], model.second[pairs]])
    key = np.tile(entity, 2) * model.accounts + ends
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    crowd = np.maximum(count[place[: len(some)]], count[place[len(some) :]]) / CROWD
    weight = np.logaddexp2(0.0, bits[pairs]) / np.maximum(crowd, 1.0)
    worth = bits.copy()
    worth[pairs] = np.log2(np.expm1(np.log(2) * weight))
    tied = worth[close] > LEAST_BITS
    written = np.array([one.group == PROMPT_FAMILY.group for one in model.shared] + [False])
    return close[tied], worth, written[layer[tied]]


def _strongest(model: Model, pairs: IntArray) -> tuple[IntArray, IntArray]:
    """The entity that says most of each pair, numbered over all layers, and its layer; −1 where pairs share none.
    Every direct relation is a fact of its own, and no entity."""
    where = np.full(len(model), -1, dtype=np.int64)
    where[pairs] = np.arange(len(pairs))
    best, entity, of, before = np.zeros(len(pairs)), *np.full((2, len(pairs)), -1, dtype=np.int64), 0
    for place, layer in enumerate(model.shared):
        at = where[layer.pair]
        hit = np.flatnonzero(at >= 0)
        at, bits = at[hit], layer.bits[hit]
        more = bits > best[at]
        best[at[more]] = bits[more]
        entity[at[more]] = before + layer.entity[hit][more] if layer.users.any() else -1
        of[at[more]] = place
        before += len(layer.users)
    return entity, of
