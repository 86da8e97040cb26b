"""From what an event shows to how likely its account is abusive: looked up, added up, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, KeysView, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ringwatch.clock import now
from ringwatch.errors import UsageError
from ringwatch.graphs.layers import PROMPT_FAMILY
from ringwatch.signals.keys import ACCOUNT, Key, KeyMaker, Shown
from ringwatch.signals.pack import Signals, read_signals
from ringwatch.workspace import Workspace

FAMILY = PROMPT_FAMILY.name


@dataclass(frozen=True)
class Reason:
    """A thing that suspects are known by, the bits that it added, and the cluster that has it. It added 0 where what
    is not independent of it says more: another of its group, or what the run says of the account."""

    type: str
    key: str
    bits: float
    cluster_id: str | None

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "key": self.key, "bits": round(self.bits, 2), "cluster_id": self.cluster_id}


@dataclass(frozen=True)
class Verdict:
    """`chance`: how likely the account is abusive by what it shows. `cluster_id`: of the strongest reason. `unread`:
    fields of the event that have no normal form, which say nothing."""

    chance: float
    cluster_id: str | None
    reasons: tuple[Reason, ...]
    unread: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "chance": round(self.chance, 6),
            "cluster_id": self.cluster_id,
            "reasons": [reason.document() for reason in self.reasons],
            "unread": list(self.unread),
        }


@dataclass(frozen=True)
class _Row:
    group: str
    bits: float
    cluster_id: str | None
    expires_at: float


class Matcher:
    """Signals in memory. It holds no connection and no lock; any number of threads may ask it."""

    def __init__(self, signals: Signals, maker: KeyMaker | None = None) -> None:
        """With `maker`, whose keys must be those of the signals, it takes events as they are.

        Raises:
            UsageError: the signals were made with other keys.
        """
        if maker is not None and maker.keys != signals.keys:
            raise UsageError("The signals were made with other keys.", hint="Build them anew.")
        self._maker = maker
        self._base = signals.base
        self._rows: dict[Key, _Row] = {}
        self._pieces: dict[int, list[str]] = {}
        self._least: dict[str, int] = {}
        rows: list[Any] = signals.table.to_dict("records")
        for row in rows:
            kind, key, expires = row["type"], row["key"], row["expires_at"].timestamp()
            self._rows[kind, key] = _Row(row["group"], row["bits"], row["cluster_id"], expires)
            if row["pieces"] is not None:
                self._least[key] = int(row["least"])
                for piece in row["pieces"]:
                    self._pieces.setdefault(int(piece), []).append(key)

    @classmethod
    def open(cls, path: Path, workspace: Workspace) -> Matcher:
        """Reads a file of signals, to match events by the keys of the workspace.

        Raises:
            UsageError: there is no such file, or its keys are not those of the workspace.
            DataError: it holds no signals.
        """
        return cls(read_signals(path), KeyMaker(workspace))

    @property
    def keys(self) -> KeysView[Key]:
        """What is known."""
        return self._rows.keys()

    def match(self, events: Iterable[Mapping[str, Any]]) -> list[Verdict]:
        """A verdict for each event, in the form of the contract's table with the account's `email`, `phone` and
        `org_id`, as far as they are known. What a field lacks or nobody can read says nothing, and raises nothing."""
        if self._maker is None:
            raise UsageError("A matcher without keys takes no events as they are.", hint="Use Matcher.open.")
        read = self._maker.read(events)
        return [self.verdict(self.seen(one), one.at or now(), unread=one.unread) for one in read]

    def seen(self, shown: Shown) -> set[Key]:
        """What an event shows of what is known. Sets of an account's events may be joined: it is judged by all that
        it has shown."""
        found = {key for key in shown.keys if key in self._rows}
        return found | {(FAMILY, family) for family in self.families(shown.sketch)}

    def families(self, sketch: Collection[int]) -> list[str]:
        """The families of prompts that a sketch meets."""
        hits = Counter(family for piece in sketch for family in self._pieces.get(piece, ()))
        return sorted(family for family, count in hits.items() if count >= self._least[family])

    def verdict(self, keys: Iterable[Key], at: datetime, *, unread: tuple[str, ...] = ()) -> Verdict:
        """What these things say together at a moment."""
        moment = at.timestamp()
        rows = [(key, row) for key in keys if (row := self._rows.get(key)) and moment < row.expires_at]
        rows.sort(key=lambda one: (-one[1].bits, one[0]))
        best: dict[str, tuple[Key, float]] = {}
        for key, row in rows:
            best.setdefault(row.group, (key, row.bits))
        # What a run says of an account has in it what its things say.
        things = {group: one for group, one in best.items() if group != ACCOUNT}
        if ACCOUNT in best and best[ACCOUNT][1] >= sum(bits for _, bits in things.values()):
            things = {ACCOUNT: best[ACCOUNT]}
        added = dict(things.values())
        reasons = [Reason(*key, added.get(key, 0.0), row.cluster_id) for key, row in rows]
        reasons.sort(key=lambda one: -one.bits)
        bits = self._base + sum(added.values())
        chance = 1 / (1 + 2.0 ** -min(max(bits, -60.0), 60.0))
        return Verdict(chance, reasons[0].cluster_id if reasons else None, tuple(reasons), unread)
