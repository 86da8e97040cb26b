"""Signatures of texts and of sequences: keyed identities, and sketches that keep similarity.

A text is a sequence of words, an agentic session a sequence of tool calls; both become sets of hashed shingles (w
consecutive items; Broder 1997, "On the resemblance and containment of documents") of which the k smallest are kept:
a bottom-k sketch (Cohen and Kaplan 2007), exact for short sequences and an unbiased sample of long ones.

Nothing here loops over rows. A word is hashed in 8-byte blocks read straight from Arrow's string buffer, so the cost
is per word, not per character. The hashes are keyed mixers, good enough to tell texts apart and useless to someone
without the key; they are no message authentication.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# The stubs of pyarrow do not know what most kernels return: arrays are checked by the tests, not by types.
Arrow = Any
_kernels: Any = pc

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

SHINGLE = 3
SKETCH_SIZE = 64

_CHUNK_ITEMS = 300_000
_SPACE = 32

_NOT_WORD = r"[^\p{L}\p{M}\p{N}_]+"
_CJK = r"([\p{Han}\p{Hiragana}\p{Katakana}])"

_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Signatures:
    """Of n texts: `ids` int64[n], `words` int32[n], `sketches` list<uint32>[n] (sorted, at most `SKETCH_SIZE`)."""

    ids: I64
    words: npt.NDArray[np.int32]
    sketches: Arrow


@dataclass(frozen=True)
class _Items:
    """Hashed items of n sequences, end to end: sequence i is `hashes[offsets[i]:offsets[i + 1]]`."""

    hashes: U64
    offsets: I64


# -- normalising ----------------------------------------------------------------------------------------------


def _fold_table() -> npt.NDArray[np.uint8]:
    table = np.full(256, _SPACE, dtype=np.uint8)
    for byte in b"abcdefghijklmnopqrstuvwxyz0123456789_":
        table[byte] = byte
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        table[byte] = byte + 32
    return table


_FOLD = _fold_table()


def normalise_text(texts: Arrow) -> Arrow:
    """Lower-case words with one space between: NFKC, everything that is no letter, mark, digit or `_` a space, each
    Chinese or Japanese character a word of its own. Nulls become empty. string[n] → large_string[n].
    """
    filled = pc.fill_null(texts.cast(pa.large_string()), "")
    ascii_only = pc.string_is_ascii(filled)
    if pc.all(ascii_only).as_py() in (True, None):
        return _fold_ascii(filled)
    others = pc.invert(ascii_only)
    folded = pc.utf8_lower(_kernels.utf8_normalize(filled.filter(others), form="NFKC"))
    folded = pc.replace_substring_regex(folded, pattern=_NOT_WORD, replacement=" ")
    folded = pc.replace_substring_regex(folded, pattern=_CJK, replacement=r" \1 ")
    folded = pc.replace_substring_regex(folded, pattern=" +", replacement=" ")
    folded = pc.utf8_trim(folded, characters=" ")
    plain = _fold_ascii(pc.if_else(ascii_only, filled, ""))
    return pc.replace_with_mask(plain, others, folded)


def _fold_ascii(texts: Arrow) -> Arrow:
    """`normalise_text` for ASCII, by a table of bytes; piece by piece, so that the work stays in the cache."""
    data, offsets = _buffers(texts)
    squeezed, sizes = [], [np.zeros(1, dtype=np.int64)]
    for piece in _pieces(offsets):
        part = offsets[piece.start : piece.stop + 1]
        kept, bounds = _squeeze(_FOLD[data[part[0] : part[-1]]], part - part[0])
        squeezed.append(kept)
        sizes.append(np.diff(bounds))
    folded = np.concatenate(squeezed) if squeezed else np.zeros(0, dtype=np.uint8)
    ends = np.cumsum(np.concatenate(sizes))
    build: Any = pa.LargeStringArray.from_buffers
    return build(len(texts), pa.py_buffer(ends.tobytes()), pa.py_buffer(folded.tobytes()))


def _squeeze(folded: npt.NDArray[np.uint8], offsets: I64) -> tuple[npt.NDArray[np.uint8], I64]:
    """Leaves one space between words and none around a text."""
    if not len(folded):
        return folded, offsets
    space = folded == _SPACE
    # A space stays only between two words of one text: not after a space, and not at the start of a text.
    after = np.empty(len(folded), dtype=bool)
    after[0] = True
    after[1:] = space[:-1]
    after[offsets[:-1][offsets[:-1] < len(folded)]] = True
    keep = ~(space & after)
    # What now ends a text in a space had trailing ones: the last kept byte of each text goes if it is one.
    kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(keep, dtype=np.int64)])
    bounds = kept[offsets]
    full = bounds[1:] > bounds[:-1]
    squeezed = folded[keep]
    last = bounds[1:][full] - 1
    trailing = last[squeezed[last] == _SPACE]
    if len(trailing):
        stay = np.ones(len(squeezed), dtype=bool)
        stay[trailing] = False
        bounds = bounds - np.searchsorted(trailing, bounds, side="left")
        squeezed = squeezed[stay]
    return squeezed, bounds


def _buffers(texts: Arrow) -> tuple[npt.NDArray[np.uint8], I64]:
    """The bytes and the offsets (from 0) of an array without nulls."""
    _, offset_buffer, data_buffer = texts.buffers()
    if len(texts) == 0 or data_buffer is None:
        return np.zeros(0, dtype=np.uint8), np.zeros(len(texts) + 1, dtype=np.int64)
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


# -- hashing --------------------------------------------------------------------------------------------------


def _mix(values: U64) -> U64:
    """The finaliser of MurmurHash3 (Appleby): every input bit changes every output bit."""
    values = (values ^ (values >> np.uint64(33))) * _M1
    values = (values ^ (values >> np.uint64(33))) * _M2
    return values ^ (values >> np.uint64(33))


def _seeds(key: bytes) -> tuple[np.uint64, np.uint64]:
    if len(key) < 16:
        raise ValueError("a signature key has at least 16 bytes")
    first, second = np.frombuffer(key[:16], dtype="<u8")
    return np.uint64(first), np.uint64(second | np.uint64(1))


def _words(texts: Arrow, key: bytes) -> _Items:
    """Hashes of the words of normalised texts."""
    data, offsets = _buffers(texts)
    if not len(data):
        return _Items(np.zeros(0, dtype=np.uint64), np.zeros(len(texts) + 1, dtype=np.int64))
    seed, odd = _seeds(key)
    space = data == _SPACE
    first = ~space
    first[1:] &= space[:-1]
    edges = offsets[:-1][offsets[:-1] < len(data)]
    first[edges] = ~space[edges]
    starts = np.flatnonzero(first)
    # A word ends before the next space or at the end of its text, whichever is first.
    stops = np.concatenate([np.flatnonzero(space), offsets[1:]])
    stops.sort()
    ends = stops[np.searchsorted(stops, starts, side="right")]
    length = ends - starts
    padded = np.concatenate([data, np.zeros(8, dtype=np.uint8)])
    blocks = np.ndarray(shape=(len(data) + 1,), dtype="<u8", buffer=padded.data, strides=(1,))
    hashes = _mix(length.astype(np.uint64) * odd ^ seed)
    at, left, rows = starts, length, None
    while len(at):
        tail = np.minimum(left, 8).astype(np.uint64)
        block = blocks[at] & (np.uint64(0xFFFFFFFFFFFFFFFF) >> ((np.uint64(8) - tail) * np.uint64(8)))
        if rows is None:
            hashes = _mix((hashes ^ block) * odd + seed)
            rows = np.flatnonzero(left > 8)
            at, left = at[rows] + 8, left[rows] - 8
        else:
            hashes[rows] = _mix((hashes[rows] ^ block) * odd + seed)
            more = left > 8
            rows, at, left = rows[more], at[more] + 8, left[more] - 8
    return _Items(hashes, np.searchsorted(starts, offsets).astype(np.int64))


def _ids(items: _Items, key: bytes) -> I64:
    """One hash per sequence, of its items and their places."""
    seed, odd = _seeds(key)
    sizes = np.diff(items.offsets)
    place = np.arange(len(items.hashes), dtype=np.int64) - np.repeat(items.offsets[:-1], sizes)
    placed = _mix(items.hashes + (place.astype(np.uint64) + np.uint64(1)) * _STEP)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(placed, dtype=np.uint64)])
    total = sums[items.offsets[1:]] - sums[items.offsets[:-1]]
    return _mix((total ^ seed) * odd + sizes.astype(np.uint64)).view(np.int64)


def _shingles(items: _Items) -> _Items:
    """Hashes of `SHINGLE` items in a row; a shorter sequence is one shingle of what it has."""
    sizes = np.diff(items.offsets)
    n = len(items.hashes)
    place = np.arange(n, dtype=np.int64) - np.repeat(items.offsets[:-1], sizes)
    left = np.repeat(sizes, sizes) - place
    mixed = items.hashes.copy()
    for step in range(1, SHINGLE):
        inside = np.flatnonzero(left > step)
        mixed[inside] = _mix(mixed[inside] * _STEP + items.hashes[inside + step])
    keep = (left >= SHINGLE) | (place == 0)
    kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(keep, dtype=np.int64)])
    return _Items(mixed[keep], kept[items.offsets])


def _bottom(items: _Items) -> tuple[npt.NDArray[np.uint32], I64]:
    """The `SKETCH_SIZE` smallest distinct 32-bit hashes of each sequence, sorted."""
    sizes = np.diff(items.offsets)
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    keys = (owner << np.uint64(32)) | (items.hashes >> np.uint64(32))
    keys.sort()
    if len(keys):
        new = np.empty(len(keys), dtype=bool)
        new[0] = True
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        keys = keys[new]
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(sizes))
    if len(counts) and counts.max(initial=0) > SKETCH_SIZE:
        starts = np.cumsum(counts) - counts
        rank = np.arange(len(keys), dtype=np.int64) - np.repeat(starts, counts)
        keys = keys[rank < SKETCH_SIZE]
        counts = np.minimum(counts, SKETCH_SIZE)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), offsets


def _list_array(values: npt.NDArray[np.uint32], offsets: I64) -> Arrow:
    build: Any = pa.ListArray.from_arrays
    return build(pa.array(offsets.astype(np.int32)), pa.array(values))


def _pieces(offsets: I64) -> list[slice]:
    """Slices of sequences of about `_CHUNK_ITEMS` units together, so that temporaries stay small."""
    n = len(offsets) - 1
    cuts = np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], _CHUNK_ITEMS), side="left")
    bounds = np.unique(np.concatenate([np.minimum(cuts, n), [0, n]]))
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


# -- the public functions -------------------------------------------------------------------------------------


def sign_texts(normalised: Arrow, key: bytes) -> Signatures:
    """Identities, word counts and sketches of normalised texts (`normalise_text`), in one pass over their words.

    `key` has at least 16 bytes. Empty texts share one identity and have an empty sketch.
    """
    texts = normalised.cast(pa.large_string())
    _, offsets = _buffers(texts)
    ids, words, values, sizes = [], [], [], []
    for piece in _pieces(offsets):
        items = _words(texts.slice(piece.start, piece.stop - piece.start), key)
        ids.append(_ids(items, key))
        words.append(np.diff(items.offsets).astype(np.int32))
        bottom, ends = _bottom(_shingles(items))
        values.append(bottom)
        sizes.append(np.diff(ends))
    if not ids:
        return Signatures(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), _empty())
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.concatenate(sizes))])
    return Signatures(np.concatenate(ids), np.concatenate(words), _list_array(np.concatenate(values), ends))


def text_ids(normalised: Arrow, key: bytes) -> I64:
    """64-bit keyed identities of normalised texts; int64[n]."""
    return sign_texts(normalised, key).ids


def sketches(normalised: Arrow, key: bytes) -> Arrow:
    """Bottom-k sketches of the three-word shingles of normalised texts; list<uint32>[n], each sorted."""
    return sign_texts(normalised, key).sketches


def sequence_sketches(sequences: Arrow, key: bytes) -> Arrow:
    """The same sketches of sequences of integers (the shapes of tool calls in their order): list<int64>[n] →
    list<uint32>[n]. Nulls inside a sequence count as 0; a null sequence is an empty one.
    """
    seed, odd = _seeds(key)
    lists: Arrow = sequences.cast(pa.large_list(pa.int64()))
    if lists.null_count:
        lists = pa.array([[] if item is None else item for item in lists.to_pylist()], pa.large_list(pa.int64()))
    offsets = np.asarray(lists.offsets, dtype=np.int64)
    if len(lists) == 0:
        return _empty()
    flat = pc.fill_null(lists.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])), 0)
    values = np.asarray(flat, dtype=np.int64).view(np.uint64)
    hashes = _mix((values ^ seed) * odd)
    bottom, ends = _bottom(_shingles(_Items(hashes, offsets - offsets[0])))
    return _list_array(bottom, ends)


def sketch_ids(sketches: Arrow, key: bytes) -> I64:
    """64-bit keyed identities of sketches: equal ones have equal identities; int64[n]."""
    offsets = np.asarray(sketches.offsets, dtype=np.int64)
    values = np.asarray(sketches.values, dtype=np.uint64)[offsets[0] : offsets[-1]] if len(sketches) else offsets[:0]
    return _ids(_Items(values.astype(np.uint64), offsets - offsets[:1]), key)


def _empty() -> Arrow:
    return pa.array([], pa.list_(pa.uint32()))
