"""Words of a terminal come in; calls of the other rooms, tables for people and JSON for programs go out.

One file per group of commands, each thin: parse, call, print.
"""

from __future__ import annotations

from ringwatch.cli.main import main

__all__ = ["main"]
