"""What a stage cost: seconds by name, peak resident memory, and progress on stderr."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

BAR = 30
CLEAR = "\033[K"
"""What clears the rest of a line of a terminal."""


def peak_rss_mb() -> int:
    """Peak resident set size of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024) if sys.platform == "darwin" else peak // 1024


class Stopwatch:
    """Wall seconds by stage, in the order of the stages. Unless `quiet`, says on stderr how far the work is."""

    def __init__(self, *, quiet: bool = True) -> None:
        self.stages: dict[str, float] = {}
        self._quiet = quiet
        self._start = time.perf_counter()
        self._said = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block under `name`, and says so the first time; a name used twice adds up."""
        if name not in self.stages:
            self._say(f"stage={name}")
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.stages[name] = round(self.stages.get(name, 0.0) + spent, 3)

    def progress(self, done: int, of: int) -> None:
        """Says how much of a long work is done: as a bar on a terminal, else in a line at most once a second."""
        if self._quiet:
            return
        if sys.stderr.isatty():
            full = BAR * done // max(of, 1)
            text = f"\r{CLEAR}[{'#' * full}{'.' * (BAR - full)}] {done}/{of}"
            print(text, end="\n" if done >= of else "", file=sys.stderr, flush=True)
        elif time.perf_counter() - self._said >= 1.0:
            self._say(f"done={done} of={of}")

    def _say(self, text: str) -> None:
        self._said = time.perf_counter()
        if not self._quiet:
            over = f"\r{CLEAR}" if sys.stderr.isatty() else ""
            print(f"{over}{text} seconds={self._said - self._start:.1f}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Wall seconds since the watch was made."""
        return round(time.perf_counter() - self._start, 3)
