"""A small world of known answers: rings that share a card, addresses, devices and a prompt; households; loners.

Deterministic for a seed. Every value that must not be found at rest carries one of `MARKS`.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

Row = dict[str, Any]
Tables = dict[str, list[Row]]

#: Text that each raw identifier of `make_tables` holds.
MARKS = ("@mark-mail.example", "dev-mark-", "tok_mark_", "203.0.113.", "markword")

_WORDS = [f"markword{i}" for i in range(900)]
_TOOLS = ("search", "fetch", "shell", "mail")


def make_tables(
    seed: int, *, rings: int = 3, loners: int = 60, events: int = 6, prefix: str = "", month: int = 1
) -> Tables:
    """All tables but labels; `events` rows an account. Worlds of other `prefix`es share no account.

    Accounts are of 2026's `month`, what they do of the next.
    """
    random_ = random.Random(seed)
    tables: Tables = {"accounts": [], "events": [], "relations": [], "entities": []}

    def account(name: str, day: int, *, mailbox: str | None = None) -> None:
        tables["accounts"].append(
            {
                "account_id": name,
                "created_at": f"2026-{month:02d}-{1 + day % 28:02d}T0{day % 10}:00:00Z",
                "email": f"{mailbox or name}@mark-mail.example",
                "country": "NL",
                "plan": "free",
                "x_volume": float(random_.randrange(1000)),
            }
        )

    def act(name: str, day: int, number: int, **values: object) -> None:
        harm = values.get("harm")
        tables["events"].append(
            {
                "event_id": f"{name}-e{number}",
                "ts": f"2026-{month + 1:02d}-{1 + day % 28:02d}T{number % 24:02d}:{day % 60:02d}:00Z",
                "account_id": name,
                "kind": "chat",
                "ip": None,
                "device_id": None,
                "payment_id": None,
                "prompt": None,
                "tool": None,
                "tool_args": None,
                "refused": bool(harm),
                "harm": None,
                "harm_score": 0.9 if harm else 0.02,
                **values,
            }
        )

    for number in range(loners):
        name = f"{prefix}loner{number}"
        account(name, number)
        for k in range(events):
            act(
                name, number + k, k, kind="payment" if k == 0 else "chat",
                ip=f"203.0.113.{random_.randrange(250)}" if k % 3 == 0 else f"11.{number}.{len(prefix)}.{k % 2}",
                device_id=f"dev-mark-{name}", payment_id=f"tok_mark_{name}" if k == 0 else None,
                prompt=" ".join(random_.sample(_WORDS, 14)) if k else None,
            )  # fmt: skip
    for ring in range(rings):
        template = random_.sample(_WORDS, 24)
        names = [f"{prefix}ring{ring}-{i}" for i in range(6 + ring)]
        for i, name in enumerate(names):
            account(name, 3 + ring, mailbox=f"{prefix}op{ring}+{i}")
            for k in range(events):
                words = list(template)
                words[k % 24] = random_.choice(_WORDS)
                act(
                    name, 4 + ring + k, k, kind="payment" if k == 0 else "tool_call" if k == 1 else "chat",
                    ip=f"203.0.113.{ring * 2 + k % 2}", device_id=f"dev-mark-{prefix}r{ring}-{i % 3}",
                    payment_id=f"tok_mark_{prefix}ring{ring}" if k == 0 else None,
                    prompt=" ".join(words) if k > 1 else None,
                    tool=_TOOLS[ring % 4] if k == 1 else None,
                    tool_args=json.dumps({"target": f"markword-target{ring}"}) if k == 1 else None,
                    harm="fraud" if k % 2 else None,
                )  # fmt: skip
        for left, right in itertools.pairwise(names):
            tables["relations"].append(
                {
                    "src_account_id": left, "dst_account_id": right, "kind": "referral",
                    "ts": f"2026-{month:02d}-05T00:00:00Z", "count": 1, "amount": None,
                }
            )  # fmt: skip
    tables["entities"].append(
        {"entity_type": "ip", "entity_id": "203.0.113.249", "kind": "vpn", "note": "markword exit"}
    )
    return tables


def _text(value: object) -> object:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def encode(rows: Sequence[Mapping[str, Any]], form: str) -> bytes:
    """Rows as a file of the form: parquet, csv, jsonl, and the last two with .gz or .zst behind."""
    kind, _, packing = form.partition(".")
    if kind == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), sink)
        return sink.getvalue()
    text = io.StringIO()
    if kind == "csv":
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _text(value) for key, value in row.items()} for row in rows)
    else:
        text.writelines(json.dumps(row) + "\n" for row in rows)
    data = text.getvalue().encode()
    if packing == "gz":
        return gzip.compress(data, mtime=0)
    return zstandard.compress(data) if packing == "zst" else data


def write_drop(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]], form: str = "csv") -> Path:
    """Writes `folder/TABLE.FORM` for each table that has rows; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        if rows:
            (folder / f"{table}.{form}").write_bytes(encode(rows, form))
    return folder
