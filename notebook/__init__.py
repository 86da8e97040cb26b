"""A workspace comes in; pandas frames, networkx graphs and pictures go out, for people who work in a notebook.

`ringwatch.open` is its door. Nothing here writes to the workspace but what reads on record write anyway.
"""

from __future__ import annotations

from ringwatch.export.pictures import Picture
from ringwatch.notebook.views import AccountView, ClusterView, Notebook, open_notebook

__all__ = ["AccountView", "ClusterView", "Notebook", "Picture", "open_notebook"]
