"""Rooms open when they are asked, and only as far."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

_ROOMS = ("export", "gnn", "graphs", "graphs.store", "ingest", "pipeline", "review")
_HEAVY = ("igraph", "neo4j", "networkx", "pandas", "scipy", "sklearn", "xgboost")


@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_has_the_names_that_it_says(room: str) -> None:
    opened = importlib.import_module(f"ringwatch.{room}")
    assert all(hasattr(opened, name) for name in opened.__all__)
    modules = {module.name for module in pkgutil.iter_modules(opened.__path__)}
    assert not modules & set(opened.__all__), "importing the module would put it in the name's place"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = opened.no_such_name


def test_what_asks_the_embedded_store_imports_nothing_heavy() -> None:
    asked = (
        "import sys, ringwatch.cli.main\n"
        "from ringwatch.pipeline import open_store, whole_token\n"
        "from ringwatch.queries import run\n"
        "from ringwatch.review import anonymity_of\n"
        f"print(*(name for name in {_HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
