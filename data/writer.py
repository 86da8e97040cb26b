"""Codes become text, columns become Parquet: the tables of the contract, row group by row group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ringwatch.data import names
from ringwatch.data.activity import Events
from ringwatch.data.draws import I64, Arrow, hex_text, ip_text, join_text, mix, pick_text, uniform
from ringwatch.data.names import API, CHAT, DAY_US, DIALLING, END_US, PAYMENT, TOOL_CALL
from ringwatch.data.prompts import WORDS, prompt_text
from ringwatch.data.world import World

TIME: Any = pa.timestamp("us", tz="UTC")
_kernels: Any = pc

EVENTS = pa.schema([
    ("event_id", pa.string()), ("ts", TIME), ("account_id", pa.string()), ("kind", pa.string()),
    ("session_id", pa.string()), ("ip", pa.string()), ("device_id", pa.string()), ("payment_id", pa.string()),
    ("user_agent", pa.string()), ("model", pa.string()), ("prompt", pa.string()), ("tool", pa.string()),
    ("tool_args", pa.string()), ("refused", pa.bool_()), ("harm", pa.string()), ("harm_score", pa.float64()),
    ("tokens", pa.int64()), ("amount", pa.float64()), ("currency", pa.string()),
])  # fmt: skip
ACCOUNTS = pa.schema([
    ("account_id", pa.string()), ("created_at", TIME), ("org_id", pa.string()), ("email", pa.string()),
    ("phone", pa.string()), ("country", pa.string()), ("plan", pa.string()), ("status", pa.string()),
    ("updated_at", TIME),
])  # fmt: skip
RELATIONS = pa.schema([
    ("src_account_id", pa.string()), ("dst_account_id", pa.string()), ("kind", pa.string()), ("ts", TIME),
    ("count", pa.int64()), ("amount", pa.float64()),
])  # fmt: skip
ENTITIES = pa.schema([
    ("entity_type", pa.string()), ("entity_id", pa.string()), ("kind", pa.string()), ("note", pa.string())
])  # fmt: skip


class DropWriter:
    """Writes the files of a drop; a context manager that closes what it opened."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> DropWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, table: str, rows: pa.Table) -> None:
        """Appends a row group to `table`."""
        if table not in self._writers:
            path = self._folder / f"{table}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[table] = pq.ParquetWriter(path, rows.schema, compression="zstd")
        self._writers[table].write_table(rows)


def account_ids(numbers: I64, seed: int) -> Arrow:
    """The ids that the drop shows; string[n]."""
    return hex_text(numbers, seed * 4 + 1, prefix="acct_", digits=14)


def account_rows(world: World, numbers: I64, rng: np.random.Generator) -> pa.Table:
    """Rows of the accounts table."""
    n = len(numbers)
    status = np.where(world.suspended[numbers], 1, np.where(rng.random(n) < 0.01, 2, 0))
    created = world.created[numbers]
    updated = created + (rng.random(n) * np.maximum(END_US - created, DAY_US // 24)).astype(np.int64)
    org = world.org[numbers]
    phone = world.phone[numbers]
    number = 100_000_000 + (uniform(phone, world.seed + 29) * 8.9e8).astype(np.int64)
    phones = join_text(pick_text(DIALLING, world.country[numbers]), pa.array(number).cast(pa.string()))
    columns = [
        account_ids(numbers, world.seed),
        pa.array(created, TIME),
        _blank(hex_text(org, world.seed * 4 + 2, prefix="org_", digits=10), org < 0),
        _blank(_emails(world, numbers), rng.random(n) < 0.05),
        _blank(phones, phone < 0),
        pick_text(names.COUNTRY_TEXT, world.country[numbers]),
        pick_text(names.PLANS, world.plan[numbers]),
        pick_text(names.STATUS, status),
        pa.array(updated, TIME),
    ]
    return pa.Table.from_arrays(columns, schema=ACCOUNTS)


def _emails(world: World, numbers: I64) -> Arrow:
    """Mailboxes in the ways people make them: first.last, flast, firstNN, base+NN, a nickname, first.lastNN."""
    mail = {name: column[numbers] for name, column in world.mail.items()}
    first, last = (
        pick_text(words, mail[name] % len(words)) for name, words in (("first", names.FIRST), ("last", names.LAST))
    )
    number = pa.array(mail["number"]).cast(pa.string())
    nick = pick_text(WORDS, 300 + mail["first"] * 7919 % (len(WORDS) - 300))
    style = pa.array(mail["style"])
    local = _kernels.choose(
        style,
        join_text(first, last, by="."),
        join_text(_kernels.utf8_slice_codeunits(first, 0, 1), last, by=""),
        join_text(first, last, number),
        join_text(join_text(first, last), number, by="+"),
        join_text(nick, number),
        join_text(first, number, last, by="_"),
    )
    # Common names are taken: most people at a big provider need a number.
    crowded = pa.array((mail["style"] < 2) & (mail["domain"] < len(names.PROVIDER_TEXT)))
    local = _kernels.if_else(crowded, join_text(local, number), local)
    return join_text(local, pick_text(pa.array(world.domains), mail["domain"]), by="@")


def _blank(values: Arrow, where: Any) -> Arrow:
    return _kernels.if_else(pa.array(where), pa.scalar(None, pa.string()), values)


def event_rows(world: World, events: Events, chunk: int, rng: np.random.Generator) -> pa.Table:
    """Rows of the events table."""
    seed, n = world.seed, len(events.ts)
    place = chunk * (1 << 40)
    device = events.device
    judged = np.isin(events.kind, (CHAT, API, TOOL_CALL))
    caught = events.harmful & (rng.random(n) < 0.9)  # the classifier misses some
    refused = (events.harmful & (rng.random(n) < 0.4)) | (rng.random(n) < 0.001)
    score = np.where(caught, 0.5 + 0.5 * rng.beta(2.5, 1.5, n), rng.beta(1.0, 16.0, n))
    harm = np.where(caught, world.harm_kind[events.account], -1)
    pays = events.kind == PAYMENT
    amount = np.round(np.exp(rng.normal(3.0, 0.8, n)), 2)
    tokens = np.exp(rng.normal(6.2, 0.9, n)).astype(np.int64)
    talks = np.flatnonzero(events.template >= 0)
    prompt = _at(prompt_text(events.template[talks], events.changed[talks], rng), talks, n)
    calls = np.flatnonzero(events.tool >= 0)
    tool, args = tool_text(events.tool[calls], events.target[calls], rng)
    columns = [
        hex_text(place + np.arange(n), seed * 4 + 3, prefix="ev_"),
        pa.array(events.ts, TIME),
        account_ids(events.account, seed),
        pick_text(names.EVENT_KINDS, events.kind),
        hex_text(place + events.session, seed * 4 + 5, prefix="s_", digits=12),
        ip_text(events.ip, rng, seed),
        hex_text(device, seed * 4 + 7, digits=16),
        _blank(hex_text(events.payment, seed * 4 + 9, prefix="pm_", digits=14), events.payment < 0),
        _agents(world, events),
        _blank(pick_text(names.MODELS, (mix(events.session, seed + 31) % np.uint64(4)).astype(np.int64)), ~judged),
        prompt,
        _at(tool, calls, n),
        _at(args, calls, n),
        pa.array(refused & judged, mask=~judged),
        pick_text(names.HARMS, np.where(judged, harm, -1)),
        pa.array(np.round(score, 4), mask=~judged),
        pa.array(tokens, mask=~judged),
        pa.array(amount, mask=~pays),
        _blank(pick_text(names.CURRENCIES, rng.integers(0, len(names.CURRENCIES), n)), ~pays),
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS)


def _at(values: Arrow, rows: I64, n: int) -> Arrow:
    """`values` at `rows` of n, null elsewhere."""
    index = np.full(n, -1)
    index[rows] = np.arange(len(rows))
    return pick_text(values, index) if len(values) else pa.nulls(n, pa.string())


def _agents(world: World, events: Events) -> Arrow:
    """A device keeps its user agent; popular ones first."""
    draw = uniform(events.device, world.seed + 37) ** 1.8
    return pick_text(names.AGENTS, (draw * len(names.AGENTS)).astype(np.int64))


_SHAPES = (
    ('{"target": "', '"}'),
    ('{"target": "', '", "depth": 2}'),
    ('{"url": "https://', '/index", "retries": 3}'),
    ('{"query": "', '", "limit": 20, "safe": true}'),
    ('{"to": "', '", "body": {"kind": "text", "parts": 1}}'),
    ('{"path": "/srv/', '/data", "mode": "r"}'),
)


def tool_text(call: I64, target: I64, rng: np.random.Generator) -> tuple[Arrow, Arrow]:
    """Tool and JSON arguments of each call: the call's number gives the tool and the shape, the target a value."""
    tool = pick_text(names.TOOLS, (uniform(call, 701) ** 1.5 * len(names.TOOLS)).astype(np.int64))
    shape = (mix(call, 709) % np.uint64(len(_SHAPES))).astype(np.int64)
    host = hex_text(target, 719, digits=10)
    word = pick_text(WORDS, (mix(target, 727) % np.uint64(len(WORDS))).astype(np.int64))
    left, right = (pick_text(pa.array([part[side] for part in _SHAPES]), shape) for side in (0, 1))
    args = join_text(left, join_text(word, host, by="-"), pa.array([".example"] * len(call), pa.string()), right)
    return tool, _blank(args, rng.random(len(call)) < 0.03)


def relation_rows(world: World) -> pa.Table:
    """Rows of the relations table, by time."""
    src, dst, when = (
        np.concatenate([row[place] for row in world.relations] or [np.zeros(0, dtype=np.int64)])
        for place in (0, 1, 3)
    )
    kind = np.concatenate([np.full(len(row[0]), row[2]) for row in world.relations])
    order = np.argsort(when, kind="stable")
    moved = kind[order] == names.TRANSFER
    amount = np.round(np.exp(uniform(order, world.seed + 41) * 5), 2)
    count = 1 + (uniform(order, world.seed + 43) ** 4 * 6).astype(np.int64)
    columns = [
        account_ids(src[order], world.seed),
        account_ids(dst[order], world.seed),
        pick_text(names.RELATIONS, kind[order]),
        pa.array(when[order], TIME),
        pa.array(np.where(kind[order] == names.REFERRAL, 1, count)),
        pa.array(amount, mask=~moved),
    ]
    return pa.Table.from_arrays(columns, schema=RELATIONS)


def entity_rows(world: World, rng: np.random.Generator) -> pa.Table:
    """Rows of the entities table."""
    kinds = [row[0] for row in world.entities]
    codes = np.array([row[1] for row in world.entities], dtype=np.int64)
    as_ip = ip_text(np.where([kind == "ip" for kind in kinds], codes, 0), rng, world.seed)
    as_device = hex_text(codes, world.seed * 4 + 7, digits=16)
    text = _kernels.if_else(pa.array([kind == "ip" for kind in kinds]), as_ip, as_device)
    columns = [
        pa.array(kinds, pa.string()), text,
        pa.array([row[2] for row in world.entities], pa.string()),
        pa.array([row[3] for row in world.entities], pa.string()),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=ENTITIES)
