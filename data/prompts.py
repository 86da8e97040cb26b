"""Prompts as counters: a template is a number, its words follow from it; a copy replaces a share of them.

Words follow Zipf's law over a fixed vocabulary, half of them from the template's topic; lengths are shifted
geometric. Nothing is stored, so that ten million accounts cost no more memory than one chunk of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.data.draws import F64, I64, Arrow, mix, pick_text, uniform

VOCABULARY = 6_000
TOPICS = 48
TOPIC_WORDS = 150
TOPIC_SHARE = 0.45
SHORTEST, MEAN_MORE, LONGEST = 8, 14.0, 60
STOCK_BELOW = 1 << 16
"""Template numbers below this are stock phrases, the same from anybody."""

_COMMON_TEXT = """
the a to of and in is for that with on it as be this are by from or an at can you i how what my me we our not
but if do does will would should please write make give list explain show help need want use using into about
between more less than new each all any some only when where which who why one two three first last next after
before your their its has have had was were been there here then also very just like get find check add create
change summarise translate compare describe draft rewrite improve fix plan review analyse convert shorten answer
suggest text email code table report letter story essay list question example step sentence paragraph document
data number file page message customer product price order market team project time day week month year people
child school class city country food recipe travel hotel flight health doctor sleep train music film book game
sport car house garden money bank budget tax invoice contract law court police news history science physics
chemistry biology maths equation function python error query server network website app button color image
design brand campaign video script speech interview job resume cover skill course exam lesson homework thesis
source reference summary result method model test
"""
_COMMON = _COMMON_TEXT.split()
_ONSETS = [
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea"]
_CODAS = ["", "", "", "", "n", "r", "l", "m"]
_NOT_IN_WORDS = (
    "fag",
    "fuk",
    "dik",
    "nig",
    "neg",
    "sex",
    "tit",
    "anal",
    "anus",
    "rap",
    "naz",
    "hom",
    "kon",
    "pis",
    "pen",
)

STOCK = [
    "hi", "hello", "thanks", "thank you", "continue", "go on", "ok", "yes", "no", "try again", "are you there",
    "shorter please", "make it shorter", "make it longer", "more formal please", "fix the grammar",
    "explain that again", "what do you mean", "translate to english", "translate to spanish",
    "summarize this", "rewrite this", "why", "give me an example",
    "in one sentence", "as a table", "as bullet points", "what can you do", "who are you",
    "tell me a joke", "good morning", "write a poem", "check this for mistakes", "is this correct", "are you sure",
    "what is the weather today", "convert this to python", "it does not work", "same error", "that is wrong",
]  # fmt: skip


def _vocabulary() -> Arrow:
    """Common English first, then made words; the same in every world."""
    number = np.arange(VOCABULARY * 3)
    made = []
    for syllable in range(3):
        at = [mix(number, 101 + 7 * syllable + k) for k in range(3)]
        parts = [
            np.array(pool, dtype=object)[(draw % np.uint64(len(pool))).astype(np.int64)]
            for pool, draw in zip((_ONSETS, _VOWELS, _CODAS), at, strict=True)
        ]
        made.append(parts[0] + parts[1] + parts[2])
    longer = uniform(number, 211) < 0.3
    words = made[0] + made[1] + np.where(longer, made[2], "")
    clean = [word for word in words if not any(part in word for part in _NOT_IN_WORDS)]
    return pa.array(list(dict.fromkeys([*_COMMON, *clean]))[:VOCABULARY])


def _quantiles(ranks: int, cells: int) -> I64:
    """Cell of [0, 1) → rank, by Zipf's law with exponent 1 and a flattened head (Mandelbrot 1953)."""
    weight = 1.0 / (np.arange(ranks) + 2.7)
    edges = np.cumsum(weight) / weight.sum()
    return np.searchsorted(edges, (np.arange(cells) + 0.5) / cells).astype(np.int64)


WORDS = _vocabulary()
_GLOBAL = _quantiles(VOCABULARY, 1 << 16)
_IN_TOPIC = _quantiles(TOPIC_WORDS, 1 << 12)
_PLACES = np.arange(TOPICS)[:, None] * 1000 + np.arange(TOPIC_WORDS)
_OF_TOPIC = (mix(_PLACES, 307) % np.uint64(VOCABULARY)).astype(np.int64)


def _words(topic: I64, draw: Any) -> I64:
    """One word code for each 64-bit draw."""
    low = (draw & np.uint64(0xFFFF)).astype(np.int64)
    of_topic = ((draw >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.int64) < TOPIC_SHARE * 65_536
    inside = ((draw >> np.uint64(32)) & np.uint64(0xFFF)).astype(np.int64)
    return np.asarray(np.where(of_topic, _OF_TOPIC[topic, _IN_TOPIC[inside]], _GLOBAL[low]))


def prompt_text(template: I64, changed: F64, rng: np.random.Generator) -> Arrow:
    """The text of each copy: words of its template, of which a share of `changed` is replaced; string[n].

    Templates below `STOCK_BELOW` are stock phrases and are copied as they are.
    """
    if not len(template):
        return pa.array([], pa.string())
    length = SHORTEST + np.floor(-MEAN_MORE * np.log1p(-uniform(template, 401))).astype(np.int64)
    length = np.minimum(length, LONGEST)
    stock = template < STOCK_BELOW
    length[stock] = 1
    ends = np.concatenate([[0], np.cumsum(length)])
    row = np.repeat(np.arange(len(template)), length)
    place = np.arange(ends[-1]) - ends[row]
    topic = (mix(template, 409) % np.uint64(TOPICS)).astype(np.int64)[row]
    draw = mix(template[row] * 64 + place, 419)
    other = rng.random(len(row)) < changed[row]
    draw[other] = rng.integers(0, 1 << 63, int(other.sum())).view(np.uint64)
    code = _words(topic, draw)
    code[ends[:-1][stock]] = VOCABULARY + template[stock] % len(STOCK)
    kernels: Any = pc
    arrays: Any = pa.ListArray
    lists = arrays.from_arrays(pa.array(ends, pa.int32()), pick_text(_ALL, code))
    return kernels.binary_join(lists, " ")


_ALL = pa.concat_arrays([WORDS, pa.array(STOCK)])


def new_templates(count: int, rng: np.random.Generator) -> I64:
    """Numbers of templates that nobody has sent yet."""
    return rng.integers(STOCK_BELOW, 1 << 56, count)
