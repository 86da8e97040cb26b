"""A question's name and parameters come in, or a statement that somebody wrote; rows of the graph go out.

`library()` has all questions, `run()` asks one of a store; `check()` is the guard, `Worker` asks what it lets through
within `Bounds`.
"""

from __future__ import annotations

from ringwatch.queries.guard import Bounds, ask, check
from ringwatch.queries.library import Parameter, Query, find, library, parse_query, run
from ringwatch.queries.worker import Worker

__all__ = ["Bounds", "Parameter", "Query", "Worker", "ask", "check", "find", "library", "parse_query", "run"]
