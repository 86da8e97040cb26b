"""Work on long arrays by pieces that stay in the cache, on all processors: NumPy, SciPy and Arrow work without the
interpreter's lock. What comes out does not depend on how many processors there are."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

_Parameters = ParamSpec("_Parameters")
_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")
_here = threading.local()


def slices(length: int, size: int) -> list[slice]:
    """0 … `length` in slices of `size`."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def by_pieces(work: Callable[[_Piece], _Result], pieces: Sequence[_Piece]) -> list[_Result]:
    """What `work` gives for each piece, in their order."""
    # Work on a piece that is by pieces itself stays where it is: else there would be as many threads as processors²,
    # and on a large machine more than a process may have.
    if len(pieces) < 2 or getattr(_here, "is_worker", False):
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(os.cpu_count(), initializer=_begin) as pool:
        return list(pool.map(work, pieces))


def _begin() -> None:
    _here.is_worker = True


class Behind:
    """Does work in the background, in the order in which it is given, never more than one piece behind."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[object] | None = None

    def do(self, work: Callable[_Parameters, object], *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        """Waits for what was given last, then begins with this."""
        self.wait()
        self._last = self._pool.submit(work, *args, **kwargs)

    def wait(self) -> None:
        """Returns when all is done; raises what went wrong."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is None:
            self.wait()
