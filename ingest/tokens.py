"""Keyed tokens: HMAC-SHA-256 (RFC 2104) of normalised values, on distinct values only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

CALLS = "tool-calls"
"""What the secret of signatures is derived for to hash tool calls (`derive_key`)."""

_BLOCK = 64
_TOKEN_BYTES = 16


class Tokeniser:
    """Tokens of one entity type. The key's two hash states are made once: a third of the cost of `hmac.digest`."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(self, value: bytes) -> bytes:
        """The 32 bytes of HMAC-SHA-256."""
        inner = self._inner.copy()
        inner.update(value)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def tokens(self, values: Sequence[bytes]) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Any]:
        """Codes (the first 8 bytes, signed, big-endian) and token texts (32 hex digits) of values; both of n."""
        digest = self.digest
        joined = b"".join([digest(value)[:_TOKEN_BYTES] for value in values])
        codes = np.frombuffer(joined, dtype=">i8")[::2].astype(np.int64)
        text = joined.hex().encode()
        offsets = np.arange(0, len(text) + 1, 2 * _TOKEN_BYTES, dtype=np.int64)
        make: Any = pa.LargeStringArray.from_buffers
        return codes, make(len(values), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))

    def codes(self, values: Sequence[bytes]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The codes alone."""
        return self.tokens(values)[0]


def code_digits(codes: np.ndarray[Any, Any]) -> list[str]:
    """Each of n 64-bit codes as 16 hex digits."""
    text = codes.astype(">i8").tobytes().hex()
    return [text[start : start + 16] for start in range(0, len(text), 16)]
