"""A browser's requests come in; pages of what was found, and what reviewers decide on them, go out.

A door: what it shows and does are functions of the rooms to its left, which the command line calls as well.
"""

from __future__ import annotations

from ringwatch.web.app import make_app
from ringwatch.web.server import Bound, bind, serve
from ringwatch.web.sessions import Limits

__all__ = ["Bound", "Limits", "bind", "make_app", "serve"]
