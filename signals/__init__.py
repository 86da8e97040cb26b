"""A run comes in; what the real-time path reads goes out: which things of suspects a newcomer would be known by, in
bits, and the matcher that reads them. A backtest says how good they would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.signals.build import build_signals
    from ringwatch.signals.keys import KeyMaker
    from ringwatch.signals.matcher import Matcher, Reason, Verdict
    from ringwatch.signals.pack import Signals, read_signals, write_signals
    from ringwatch.signals.trial import Backtest, backtest
else:
    __getattr__ = door(__name__)

__all__ = [
    "Backtest",
    "KeyMaker",
    "Matcher",
    "Reason",
    "Signals",
    "Verdict",
    "backtest",
    "build_signals",
    "read_signals",
    "write_signals",
]
