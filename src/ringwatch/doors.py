"""How a room opens: a name of it is imported when somebody first asks for it.

Importing every room takes two seconds, most of them for SciPy, igraph, networkx and the driver of Neo4j, of which a
question to the embedded store needs none. So the `__init__` of a room imports its names for type checkers only,
and `door` finds them there:

    if TYPE_CHECKING:
        from ringwatch.room.module import name
    else:
        __getattr__ = door(__name__)

A name must not be that of a module of its room: importing the module would put it in the name's place.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path


def door(room: str) -> Callable[[str], object]:
    """The `__getattr__` (PEP 562) of the room, a package."""

    def get(name: str) -> object:
        home = _homes(room).get(name)
        if home is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        setattr(sys.modules[room], name, value)
        return value

    return get


@cache
def _homes(room: str) -> dict[str, str]:
    """The module of each name that the room's `__init__` imports for type checkers."""
    source = Path(str(sys.modules[room].__file__)).read_text(encoding="utf-8")
    return {
        alias.name: str(statement.module)
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
