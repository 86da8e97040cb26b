"""Signatures of texts and of sequences: keyed identities, and sketches that keep similarity.

A text is a sequence of words, an agentic session a sequence of tool calls; of either two sets are kept. The sketch
holds hashed pairs of items that follow each other, at once or with one between them (skip-grams; Guthrie et al., "A
closer look at skip-gram modelling", LREC 2006): it says in what order things stand, and outlives a replaced or
inserted item better than longer shingles do. The bag holds short codes of the items: it outlives any order.
Of each the k smallest are kept: a bottom-k sketch (Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC
2007), exact for short sequences and an unbiased sample of long ones.

Nothing here loops over rows. A word is hashed in 8-byte blocks read straight from Arrow's string buffer, so the cost
is per word, not per character. The hashes are keyed mixers, good enough to tell texts apart and useless to someone
without the key; they are no message authentication.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.pieces import by_pieces

# The stubs of pyarrow do not know what most kernels return: arrays are checked by the tests, not by types.
Arrow = Any
_kernels: Any = pc

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

GAPS = 2
"""Two items make a pair when they stand at most this far apart."""

SKETCH_SIZE = 64
BAG_SIZE = 64

CODE_BITS = 16
"""Bits of an item's code in a bag. Enough to compare by: two texts of 20 words share a code by accident once in 160
times. Too few to say what a text held: rare words, names among them, share their codes with others."""

_LONG_WORD = 1024
"""Bytes of a word after which the rest is hashed as one: blobs in base64 have no spaces."""

_CHUNK_ITEMS = 300_000
_SPACE = 32

_NOT_WORD = r"[^\p{L}\p{M}\p{N}_]+"
_CJK = r"([\p{Han}\p{Hiragana}\p{Katakana}])"
_THAI = r"([\x{0E40}-\x{0E44}\x{0EC0}-\x{0EC4}])"
"""Vowels of Thai and Lao, which are written without spaces, that stand before their consonant: a syllable begins."""

_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Signatures:
    """Of n sequences: `ids` int64[n], `words` int32[n] (items), `sketches` list<uint32>[n] (sorted, at most
    `SKETCH_SIZE`), `bags` list<uint16>[n] (sorted, at most `BAG_SIZE`)."""

    ids: I64
    words: npt.NDArray[np.int32]
    sketches: Arrow
    bags: Arrow


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
    Chinese or Japanese character a word of its own, Thai and Lao cut where a syllable begins with its vowel. Nulls
    become empty. string[n] → large_string[n].
    """
    filled = pc.fill_null(texts.cast(pa.large_string()), "")
    ascii_only = pc.string_is_ascii(filled)
    if pc.all(ascii_only).as_py() in (True, None):
        return _fold_ascii(filled)
    others = pc.invert(ascii_only)
    folded = pc.utf8_lower(_kernels.utf8_normalize(filled.filter(others), form="NFKC"))
    folded = pc.replace_substring_regex(folded, pattern=_NOT_WORD, replacement=" ")
    folded = pc.replace_substring_regex(folded, pattern=_CJK, replacement=r" \1 ")
    folded = pc.replace_substring_regex(folded, pattern=_THAI, replacement=r" \1")
    folded = pc.replace_substring_regex(folded, pattern=" +", replacement=" ")
    folded = pc.utf8_trim(folded, characters=" ")
    plain = _fold_ascii(pc.if_else(ascii_only, filled, ""))
    return pc.replace_with_mask(plain, others, folded)


def _fold_ascii(texts: Arrow) -> Arrow:
    """`normalise_text` for ASCII, by a table of bytes; piece by piece, so that the work stays in the cache."""
    data, offsets = _buffers(texts)

    def squeeze(piece: slice) -> tuple[npt.NDArray[np.uint8], I64]:
        part = offsets[piece.start : piece.stop + 1]
        return _squeeze(_FOLD[data[part[0] : part[-1]]], part - part[0])

    squeezed = by_pieces(squeeze, _pieces(offsets))
    folded = np.concatenate([np.zeros(0, dtype=np.uint8), *(kept for kept, _ in squeezed)])
    ends = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(bounds) for _, bounds in squeezed)]))
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
        if rows is not None and length[rows[0]] - left[0] >= _LONG_WORD:
            ends_of = zip(at, at + left, strict=True)
            rest = [blake2b(data[a:b].tobytes(), digest_size=8, key=key).digest() for a, b in ends_of]
            hashes[rows] = _mix((hashes[rows] ^ np.frombuffer(b"".join(rest), dtype="<u8")) * odd + seed)
            break
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


def _pairs(items: _Items) -> tuple[U64, U64]:
    """The sequence and the hash of each pair of items up to `GAPS` apart; a single item stands for itself."""
    sizes = np.diff(items.offsets)
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    left = np.repeat(items.offsets[1:], sizes) - np.arange(len(owner))
    alone = np.flatnonzero(np.repeat(sizes, sizes) == 1)
    owners, hashes = [owner[alone]], [items.hashes[alone]]
    turned = _mix(items.hashes * _STEP)  # of a and b and of b and a: two pairs
    for gap in range(1, GAPS + 1):
        inside = np.flatnonzero(left > gap)
        owners.append(owner[inside])
        hashes.append(_mix(turned[inside] + items.hashes[inside + gap]))
    return np.concatenate(owners), np.concatenate(hashes)


def _bottom(owner: U64, hashes: U64, count: int, *, bits: int, most: int) -> tuple[U64, I64]:
    """The `most` smallest distinct hashes (their upper `bits`) of each of `count` sequences, sorted, and how many."""
    keys = (owner << np.uint64(bits)) | (hashes >> np.uint64(64 - bits))
    keys.sort()
    if len(keys):
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
    sizes = np.bincount((keys >> np.uint64(bits)).astype(np.int64), minlength=count)
    if sizes.max(initial=0) > most:
        rank = np.arange(len(keys), dtype=np.int64) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        keys = keys[rank < most]
        sizes = np.minimum(sizes, most)
    return keys & np.uint64((1 << bits) - 1), sizes.astype(np.int64)


def _list_array(parts: list[tuple[U64, I64]], kind: npt.DTypeLike) -> Arrow:
    build: Any = pa.ListArray.from_arrays
    flat = np.concatenate([np.zeros(0, dtype=kind), *(values.astype(kind) for values, _ in parts)])
    ends = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *(sizes for _, sizes in parts)]))
    return build(pa.array(ends.astype(np.int32)), pa.array(flat))


def _pieces(offsets: I64) -> list[slice]:
    """Slices of sequences of about `_CHUNK_ITEMS` units together, so that temporaries stay small."""
    n = len(offsets) - 1
    cuts = np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], _CHUNK_ITEMS), side="left")
    bounds = np.unique(np.concatenate([np.minimum(cuts, n), [0, n]]))
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


# -- the public functions -------------------------------------------------------------------------------------


def sign_texts(normalised: Arrow, key: bytes) -> Signatures:
    """Identities, word counts, sketches and bags of normalised texts (`normalise_text`), in one pass.

    `key` has at least 16 bytes. Empty texts share one identity, and have an empty sketch and an empty bag.
    """
    texts = normalised.cast(pa.large_string())
    _, offsets = _buffers(texts)

    def sign(at: slice) -> _Signed:
        return _sign(_words(texts.slice(at.start, at.stop - at.start), key), key)

    return _together(by_pieces(sign, _pieces(offsets)))


def sign_sequences(sequences: Arrow, key: bytes) -> Signatures:
    """The same of sequences of integers (the shapes of tool calls in their order); list<int64>[n]. Nulls inside a
    sequence count as 0; a null sequence is an empty one.
    """
    seed, odd = _seeds(key)
    lists: Arrow = sequences.cast(pa.large_list(pa.int64()))
    if lists.null_count:
        lists = pa.array([[] if item is None else item for item in lists.to_pylist()], pa.large_list(pa.int64()))
    offsets = np.asarray(lists.offsets, dtype=np.int64) if len(lists) else np.zeros(1, dtype=np.int64)
    flat = pc.fill_null(lists.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])), 0)
    values = np.asarray(flat, dtype=np.int64).view(np.uint64)
    return _together([_sign(_Items(_mix((values ^ seed) * odd), offsets - offsets[0]), key)])


@dataclass(frozen=True)
class _Signed:
    """Of some sequences: ids, items, and the elements of the sketches and of the bags, each with how many."""

    ids: I64
    sizes: I64
    pairs: tuple[U64, I64]
    codes: tuple[U64, I64]


def _sign(items: _Items, key: bytes) -> _Signed:
    sizes = np.diff(items.offsets)
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    return _Signed(
        _ids(items, key),
        sizes,
        _bottom(*_pairs(items), len(sizes), bits=32, most=SKETCH_SIZE),
        _bottom(owner, items.hashes, len(sizes), bits=CODE_BITS, most=BAG_SIZE),
    )


def _together(parts: list[_Signed]) -> Signatures:
    none = np.zeros(0, dtype=np.int64)
    return Signatures(
        np.concatenate([none, *(part.ids for part in parts)]),
        np.concatenate([none, *(part.sizes for part in parts)]).astype(np.int32),
        _list_array([part.pairs for part in parts], np.uint32),
        _list_array([part.codes for part in parts], np.uint16),
    )
