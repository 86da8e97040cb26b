"""The guard: only statements that read the graph get past it, in the dialect of either store (docs/adr/0020).

`check` parses, and what does not parse is refused. `Bounds` is how much a statement may take once it is let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringwatch.graphs.store.base import GraphStore, Result
from ringwatch.queries.parser import parse
from ringwatch.queries.statement import Statement


@dataclass(frozen=True)
class Bounds:
    """What an answer may take: `rows`, `seconds`, and `megabytes` of the process that reads it."""

    rows: int = 1000
    seconds: float = 30.0
    megabytes: int = 3072


def check(cypher: str) -> Statement:
    """Lets a statement pass that only reads, and reads only the graph; how it is built.

    Raises:
        PolicyError: it would write, reach files or the network, or cannot be told from one that would.
    """
    return parse(cypher)


def ask(
    store: GraphStore, cypher: str, parameters: Mapping[str, Any] | None = None, *, bounds: Bounds | None = None
) -> Result:
    """Runs a statement that somebody wrote, when it passes `check`. Within this process: `Worker` also bounds memory,
    and time where the store's own clock does not look.

    Raises:
        PolicyError: the guard refuses it, or it takes too long.
        UsageError, UnavailableError: as `GraphStore.query`.
    """
    check(cypher)
    bounds = bounds or Bounds()
    return store.query(cypher, parameters, limit=bounds.rows, timeout=bounds.seconds)
