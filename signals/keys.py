"""From an event as it comes to the keys of what it shows: the normal forms and the keyed codes of ingestion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ringwatch.graphs.layers import EMAIL_FAMILY, TOOL_TARGET
from ringwatch.ingest import tables
from ringwatch.ingest.dictionary import TokenMaker
from ringwatch.ingest.tokens import CALLS, Tokeniser, code_digits
from ringwatch.ingest.tools import describe_call
from ringwatch.signatures import normalise_text, sign_texts
from ringwatch.workspace import Workspace, derive_key

Key = tuple[str, str]
"""The type of a thing and its key, as `Signals` has them."""

ACCOUNT, CUSTOMER = "account", "org_id"
"""Types whose key is the name itself."""


@dataclass
class Shown:
    """What an event shows: keys, the sketch of its prompt, when it was (None: it does not say), and the fields that
    could not be read."""

    keys: set[Key] = field(default_factory=set)
    sketch: tuple[int, ...] = ()
    at: datetime | None = None
    unread: tuple[str, ...] = ()


class KeyMaker:
    """Makes keys with the secrets of a workspace, which it reads once. `keys` names those secrets and does not tell
    them."""

    def __init__(self, workspace: Workspace) -> None:
        with workspace.reading() as current:
            secret = workspace.secret(current.token_key)
        self._config = workspace.config
        self._maker = TokenMaker(secret, workspace.config)
        self._prompt_key = workspace.secret("signatures")
        self._calls = Tokeniser(derive_key(self._prompt_key, CALLS))
        columns = [column for name in ("accounts", "events") for column in tables(workspace.config)[name].columns]
        self._fields = {one.name: one.entity for one in columns if one.kind == "entity" and one.name != "user_agent"}
        both = derive_key(secret, "signals") + derive_key(self._prompt_key, "signals")
        self.keys = hashlib.sha256(both).hexdigest()[:16]

    def read(self, events: Iterable[Mapping[str, Any]]) -> list[Shown]:
        """What each event shows; many at once are cheaper than one by one."""
        rows = [event if isinstance(event, Mapping) else {} for event in events]
        shown = [Shown(at=_moment(row.get("ts"))) for row in rows]
        for row, one in zip(rows, shown, strict=True):
            if one.at is None and _text(row.get("ts")):
                one.unread = ("ts",)
        asked: dict[str, list[tuple[int, str, str]]] = {}
        for place, row in enumerate(rows):
            for name, kind in (("account_id", ACCOUNT), ("org_id", CUSTOMER)):
                if value := _text(row.get(name)):
                    shown[place].keys.add((kind, value))
            for name, kind in self._fields.items():
                if value := _text(row.get(name)):
                    asked.setdefault(kind, []).append((place, name, value))
            links = row.get("links")
            for link in links if isinstance(links, list) else ():
                kind, value = (_text(link.get(name)) if isinstance(link, Mapping) else "" for name in _LINK)
                if value and kind in self._config.all_entity_types:
                    asked.setdefault(kind, []).append((place, "links", value))
            self._call(row, shown[place])
        for kind, values in asked.items():
            self._things(kind, values, shown)
        self._prompts(rows, shown)
        return shown

    def _things(self, kind: str, values: list[tuple[int, str, str]], shown: list[Shown]) -> None:
        made, _, bad = self._maker.make(kind, pa.array([value for _, _, value in values]))
        # A mailbox is one account's; the pattern that it is of may be an operator's.
        name, column = (EMAIL_FAMILY.name, "family") if kind == "email" else (kind, "entity")
        codes = made[column]
        keys = code_digits(codes.fill_null(0).to_numpy())
        for (place, source, _), key, known, why in zip(
            values, keys, codes.is_valid().to_pylist(), bad.to_pylist(), strict=True
        ):
            if why is not None:
                shown[place].unread = (*shown[place].unread, source)
            elif known:
                shown[place].keys.add((name, key))

    def _call(self, row: Mapping[str, Any], shown: Shown) -> None:
        tool, args = _text(row.get("tool")), row.get("tool_args")
        try:
            args = json.dumps(args) if isinstance(args, dict | list) else _text(args)
        except (TypeError, ValueError, RecursionError):
            args = "?"  # which is no JSON
        if args:
            call = describe_call(tool, args, self._calls, depth=self._config.limits.json_depth)
            if call.bad:
                shown.unread = (*shown.unread, "tool_args")
            values = np.array(call.values or (), dtype=np.int64)
            shown.keys.update((TOOL_TARGET.name, key) for key in code_digits(values))

    def _prompts(self, rows: list[Mapping[str, Any]], shown: list[Shown]) -> None:
        texts = {place: _text(row.get("prompt")) for place, row in enumerate(rows)}
        given = {place: text for place, text in texts.items() if text}
        if not given:
            return
        signed = sign_texts(normalise_text(pa.array(list(given.values()))), self._prompt_key)
        offsets = np.asarray(signed.sketches.offsets)
        values = np.asarray(signed.sketches.values)
        for number, place in enumerate(given):
            shown[place].sketch = tuple(values[offsets[number] : offsets[number + 1]].tolist())


_LINK = ("entity_type", "entity_id")


def _text(value: object) -> str:
    """A field as ingestion takes it: whole numbers without a point, nothing for what pandas has for it, and text that
    UTF-8 can hold."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool) or pd.isna(value):
        return ""
    try:
        return str(value).encode("utf-8", "ignore").decode()
    except ValueError:  # a number of thousands of digits
        return ""


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().upper())
        except ValueError:
            return None
    if not isinstance(value, datetime) or pd.isna(value):  # what pandas has for no time is a datetime, too
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
