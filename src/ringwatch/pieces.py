"""Work on long arrays by pieces that stay in the cache, on all processors: NumPy, SciPy and Arrow work without the
interpreter's lock. What comes out does not depend on how many processors there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


def slices(length: int, size: int) -> list[slice]:
    """0 … `length` in slices of `size`."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def by_pieces(work: Callable[[_Piece], _Result], pieces: Sequence[_Piece]) -> list[_Result]:
    """What `work` gives for each piece, in their order."""
    if len(pieces) < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, pieces))
