"""A question's name and parameters come in, or a statement that somebody wrote; rows of the graph go out.

`library()` has all questions, `run()` asks one of a store; `check()` is the guard, `Worker` asks what it lets through
within `Bounds`.
"""

from __future__ import annotations

from ringwatch.queries.anonymity import Anonymity, Answer
from ringwatch.queries.completion import complete
from ringwatch.queries.guard import Bounds, ask, check
from ringwatch.queries.history import read_history, remember, without_originals
from ringwatch.queries.library import GROUPS, Parameter, Query, find, library, parse_query, run
from ringwatch.queries.worker import Worker

__all__ = [
    "GROUPS",
    "Anonymity",
    "Answer",
    "Bounds",
    "Parameter",
    "Query",
    "Worker",
    "ask",
    "check",
    "complete",
    "find",
    "library",
    "parse_query",
    "read_history",
    "remember",
    "run",
    "without_originals",
]
