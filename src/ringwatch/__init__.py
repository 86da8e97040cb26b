"""ringwatch: finds coordinated account networks in usage data. `ringwatch.open(folder)` is for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringwatch.notebook import Notebook

__all__ = ["open"]


def open(root: str | Path) -> Notebook:
    """The workspace in a folder, to be looked at from a notebook or a script.

    Raises:
        UsageError: there is none.
    """
    # Here, not above: whoever imports one room does not import them all.
    from ringwatch.notebook import open_notebook

    return open_notebook(root)
