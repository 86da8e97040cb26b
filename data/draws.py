"""Draws that do not depend on earlier draws: keyed mixers on counters; and text made from codes, by columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Arrow = Any

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype=np.uint8).reshape(256, 2)


def mix(values: npt.ArrayLike, key: int) -> U64:
    """SplitMix64's finaliser (Steele and others 2014) under a key: a bijection of 64-bit integers."""
    start = np.asarray(values).astype(np.int64, copy=False).view(np.uint64)
    # A small key would only permute small values: it is spread over all bits first.
    spread = _finalise(np.array([key & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))[0]
    return _finalise(start ^ spread)


def _finalise(values: U64) -> U64:
    mixed = values * _GAMMA + _GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _M1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _M2
    return mixed ^ (mixed >> np.uint64(31))


def uniform(values: npt.ArrayLike, key: int) -> F64:
    """A number in [0, 1) for each value."""
    return (mix(values, key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hex_text(values: npt.ArrayLike, key: int, *, prefix: str = "", digits: int = 16) -> Arrow:
    """`prefix` and the hex digits of each value's mix; string[n]."""
    mixed = np.ascontiguousarray(mix(values, key).byteswap())
    pairs = _HEX[mixed.view(np.uint8)].reshape(len(mixed), 16)[:, :digits]
    head = np.broadcast_to(np.frombuffer(prefix.encode(), dtype=np.uint8), (len(mixed), len(prefix)))
    data = np.ascontiguousarray(np.hstack([head, pairs]))
    ends = np.arange(len(mixed) + 1, dtype=np.int32) * (len(prefix) + digits)
    return pa.StringArray.from_buffers(len(mixed), pa.py_buffer(ends.tobytes()), pa.py_buffer(data.tobytes()))


def pick_text(words: Arrow, index: npt.ArrayLike) -> Arrow:
    """`words[index]`; string[n], null where the index is negative."""
    index = np.asarray(index)
    return words.take(pa.array(np.maximum(index, 0), mask=index < 0))


def join_text(*parts: Arrow, by: str = "") -> Arrow:
    """Columns and constants side by side; string[n]."""
    kernels: Any = pc
    return kernels.binary_join_element_wise(*parts, by)


_OCTETS = np.array([
    5, 24, 31, 37, 46, 47, 50, 62, 66, 67, 68, 69, 70, 71, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87,
    88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 108, 109, 112, 113, 115, 117, 121, 122, 124, 125, 134, 136, 138,
    145,     151, 153, 158, 173, 176, 178, 181, 186, 188, 189, 190, 200, 201, 202, 210, 212, 213, 217, 218, 220, 221,
])  # fmt: skip
_NETWORKS = len(_OCTETS) * 65_536
_STRIDE = 2_654_435  # has no factor in common with the number of networks
V6 = 1 << 40
"""Codes from here on are IPv6 /64 networks; below they are IPv4 addresses."""

_DECIMAL = pa.array([str(number) for number in range(256)])


def address(network: npt.ArrayLike, host: npt.ArrayLike, key: int) -> I64:
    """IPv4 addresses as integers: the `network`-th /24 of the world under `key`, and a host in it."""
    place = (np.asarray(network, dtype=np.int64) * _STRIDE + key % _NETWORKS) % _NETWORKS
    return (_OCTETS[place // 65_536] << 24) | (place % 65_536 << 8) | np.asarray(host, dtype=np.int64)


def ip_text(codes: I64, rng: np.random.Generator, key: int) -> Arrow:
    """Addresses as text; a /64 shows another interface each time, as privacy extensions do (RFC 8981); string[n]."""
    parts = [_DECIMAL.take(pa.array((codes >> shift) & 255)) for shift in (24, 16, 8, 0)]
    text = join_text(*parts, by=".")
    six = np.flatnonzero(codes >= V6)
    if not len(six):
        return text
    net = hex_text(codes[six], key, digits=9)
    tail = hex_text(rng.integers(0, 1 << 62, len(six)), key, digits=16)
    kernels: Any = pc
    cut = [kernels.utf8_slice_codeunits(net, at, stop) for at, stop in ((0, 2), (2, 5), (5, 9))]
    ends = [kernels.utf8_slice_codeunits(tail, at, at + 4) for at in (0, 4, 8, 12)]
    long = join_text(join_text("2a", cut[0]), join_text("1", cut[1]), "40", cut[2], *ends, by=":")
    mask = pa.array(codes >= V6)
    return kernels.replace_with_mask(text, mask, long)
