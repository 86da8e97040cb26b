"""A question's name and parameters come in; rows of the graph go out.

`library()` has all questions, `run()` asks one of a store, `ask()` passes on a statement that the guard has checked.
"""

from __future__ import annotations

from ringwatch.queries.guard import ask, check
from ringwatch.queries.library import Parameter, Query, find, library, parse_query, run

__all__ = ["Parameter", "Query", "ask", "check", "find", "library", "parse_query", "run"]
