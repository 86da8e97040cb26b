"""What accounts do: sessions drawn from what each uses, and their events. A chunk of accounts at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ringwatch.data.draws import F64, I64, Bool, mix, uniform
from ringwatch.data.names import API, CHAT, DAY_US, END_US, LOGIN, OTHER, PAYMENT, SIGNUP, START_US, TOOL_CALL
from ringwatch.data.prompts import STOCK_BELOW, new_templates
from ringwatch.data.uses import UseIndex
from ringwatch.data.world import AT_SIGNUP, FIELDS, IN_WINDOW, TAKEN_OVER, World

HOUR_US = 3_600_000_000
SECOND_US = 1_000_000
CAMPAIGNS = 5
ANY = 1 << 20
"""An ordinal that no count of uses reaches: the use is drawn by weight."""


@dataclass(frozen=True)
class Events:
    """Rows of a chunk, by time. Codes as in `names`; -1 where a column is null. `template`, `changed`: of the prompt.
    `tool` and `shape` are numbers of a call in its chain, `target` what it is aimed at."""

    account: I64
    session: I64
    ts: I64
    kind: I64
    ip: I64
    device: I64
    payment: I64
    template: I64
    changed: F64
    tool: I64
    target: I64
    harmful: Bool


@dataclass(frozen=True)
class _Sessions:
    account: I64
    ordinal: I64
    hostile: bool
    start: I64
    ip: I64
    device: I64

    def __len__(self) -> int:
        return len(self.account)


def needed_sessions(world: World, indexes: Mapping[str, UseIndex]) -> I64:
    """Sessions that each account needs so that no use of hostile `indexes` is left out; int64[accounts]."""
    everybody = np.arange(world.accounts)
    return np.asarray(np.max([index.count(everybody) for index in indexes.values()], axis=0), dtype=np.int64)


def draw_events(
    world: World,
    honest: Mapping[str, UseIndex],
    hostile: Mapping[str, UseIndex],
    accounts: I64,
    rng: np.random.Generator,
) -> Events:
    """All events of the accounts of a chunk."""
    blocks: list[dict[str, Any]] = []
    offset = 0
    for side, indexes in ((world.honest, honest), (world.hostile, hostile)):
        sessions = _sessions(
            world, side.sessions[accounts], indexes, honest, accounts, rng, hostile=side is world.hostile
        )
        blocks += _events(world, sessions, indexes, offset, rng, side.harm)
        offset += len(sessions)
    blocks.append(_signups(world, accounts, offset, honest, hostile, rng))
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    order = np.lexsort((columns["session"], columns["ts"]))
    return Events(**{name: column[order] for name, column in columns.items()})


def _sessions(
    world: World, counts: I64, indexes: Mapping[str, UseIndex], honest: Mapping[str, UseIndex], accounts: I64,
    rng: np.random.Generator, *, hostile: bool,
) -> _Sessions:  # fmt: skip
    account = np.repeat(accounts, counts)
    first = np.cumsum(counts) - counts
    ordinal = np.arange(len(account)) - np.repeat(first, counts)
    start = _hostile_times(world, account, rng) if hostile else _times(world, account, rng)
    start = np.where(_tries(world, account, ordinal, rng, hostile=hostile), _soon(world, account, rng), start)
    picked = {}
    for name in ("ip", "device"):
        # An operation's traces each show; where honest people are seen is left to chance.
        at = indexes[name].pick(account, ordinal if hostile else np.full(len(account), ANY), rng)
        code = indexes[name].code[at] if len(indexes[name].code) else np.zeros(len(at), dtype=np.int64)
        bare = np.flatnonzero(at < 0)
        if len(bare):  # nothing of the operation's: what the account has itself
            code = code.copy()
            own = honest[name].pick(account[bare], np.full(len(bare), ANY), rng)
            code[bare] = honest[name].code[own]
        picked[name] = code
    return _Sessions(account, ordinal, hostile, start, picked["ip"], picked["device"])


def _times(world: World, account: I64, rng: np.random.Generator) -> I64:
    """Days at random since the account exists, hours around the middle of its day."""
    begin = np.maximum(world.created[account], START_US)
    day = begin + (rng.random(len(account)) * np.maximum(END_US - begin, 1)).astype(np.int64)
    hour = ((world.hour[account] + rng.normal(0, 3.2, len(account))) % 24 * HOUR_US).astype(np.int64)
    time = day // DAY_US * DAY_US + hour
    late = (time < begin) | (time >= END_US)
    return np.asarray(np.where(late, day, time))


def _soon(world: World, account: I64, rng: np.random.Generator) -> I64:
    """Within hours of the sign-up."""
    after = (rng.exponential(2.0, len(account)) * HOUR_US).astype(np.int64)
    return np.asarray(np.minimum(world.created[account] + after, END_US - SECOND_US))


def _tries(world: World, account: I64, ordinal: I64, rng: np.random.Generator, *, hostile: bool) -> Bool:
    """Sessions of the first day, when a new account is tried out, by whomever it was made for."""
    chance = np.where(ordinal == 0, 0.6, np.where(ordinal < 3, 0.25, 0.0))
    first = rng.random(len(account)) < chance
    return first & (world.phase[account] == IN_WINDOW) if hostile else first


def _hostile_times(world: World, account: I64, rng: np.random.Generator) -> I64:
    time = _times(world, account, rng)
    n = len(account)
    phase, created = world.phase[account], world.created[account]
    # Half of an operation's sessions come within hours of each other, on the days of its campaigns.
    at = uniform(world.campaign[account] + rng.integers(0, CAMPAIGNS, n), world.seed + 17)
    begin = np.maximum(created, START_US)
    campaign = (
        START_US + (at * (END_US - START_US)).astype(np.int64) + (rng.exponential(1.5, n) * HOUR_US).astype(np.int64)
    )
    together = (phase == IN_WINDOW) & (rng.random(n) < 0.5) & (campaign > begin) & (campaign < END_US)
    time[together] = campaign[together]
    time = np.where(phase == AT_SIGNUP, _soon(world, account, rng), time)
    since = world.since[account]
    later = since + (rng.random(n) * np.maximum(END_US - since, 1)).astype(np.int64)
    return np.where(phase == TAKEN_OVER, later, time)


def _block(sessions: _Sessions, at: I64, offset: int, ts: I64, kind: Any, harmful: Bool) -> dict[str, Any]:
    n = len(at)
    none = np.full(n, -1)
    return {
        "account": sessions.account[at], "session": at + offset, "ts": ts, "kind": np.broadcast_to(kind, (n,)),
        "ip": sessions.ip[at], "device": sessions.device[at], "payment": none, "template": none,
        "changed": np.zeros(n), "tool": none, "target": none, "harmful": harmful,
    }  # fmt: skip


def _events(
    world: World,
    sessions: _Sessions,
    indexes: Mapping[str, UseIndex],
    offset: int,
    rng: np.random.Generator,
    harm: F64,
) -> list[dict[str, Any]]:
    n = len(sessions)
    every = np.arange(n)
    clean = np.zeros(n, dtype=np.bool_)
    login = every[rng.random(n) < 0.4]
    other = every[rng.random(n) < 0.08]
    blocks = [
        _block(sessions, login, offset, _after(sessions.start[login], 40, rng), LOGIN, clean[login]),
        _block(sessions, other, offset, _after(sessions.start[other], 900, rng), OTHER, clean[other]),
    ]
    cards = indexes["payment"].count(sessions.account)
    pays = every[(cards > 0) & ((sessions.ordinal < cards) | (rng.random(n) < 0.06))]
    paid = _block(sessions, pays, offset, _after(sessions.start[pays], 600, rng), PAYMENT, clean[pays])
    chosen = indexes["payment"].pick(sessions.account[pays], sessions.ordinal[pays], rng)
    paid["payment"] = indexes["payment"].code[chosen]
    blocks.append(paid)
    tools = np.maximum(indexes["chain"].count(sessions.account), indexes["target"].count(sessions.account))
    agentic = (tools > 0) & ((sessions.ordinal < tools) | (rng.random(n) < 0.5))
    blocks.append(_calls(sessions, every[agentic], indexes, offset, rng, harm))
    prompts = indexes["prompt"].count(sessions.account)
    talk = every[~agentic | (sessions.ordinal < prompts)]
    blocks.append(_chats(world, sessions, talk, indexes["prompt"], offset, rng, harm))
    return blocks


def _after(start: I64, seconds: float, rng: np.random.Generator) -> I64:
    return start + (rng.exponential(seconds, len(start)) * SECOND_US).astype(np.int64)


def _chats(
    world: World, sessions: _Sessions, talk: I64, index: UseIndex, offset: int, rng: np.random.Generator, harm: F64
) -> dict[str, Any]:
    """A prompt or more a session: what a group sends, or something new, at times changed a little and sent again."""
    more = rng.poisson(1.0, len(talk))
    at = np.repeat(talk, 1 + more)
    turn = np.arange(len(at)) - np.repeat(np.cumsum(1 + more) - 1 - more, 1 + more)
    account, ordinal = sessions.account[at], sessions.ordinal[at]
    block = _block(
        sessions, at, offset, _after(sessions.start[at] + turn * 90 * SECOND_US, 60, rng),
        np.where(world.api[account], API, CHAT), rng.random(len(at)) < harm[account],
    )  # fmt: skip
    template, changed = new_templates(len(at), rng), np.zeros(len(at))
    again = np.flatnonzero((turn > 0) & (rng.random(len(at)) < 0.15))
    template[again], changed[again] = template[again - 1], 0.12
    stock = np.flatnonzero(rng.random(len(at)) < 0.10)
    template[stock] = (STOCK_BELOW * rng.random(len(stock)) ** 2).astype(np.int64) // 1024
    count = index.count(account)
    held = (turn == 0) & (ordinal < count)
    held |= (count > 0) & (rng.random(len(at)) < (0.45 if sessions.hostile else 0.10))
    use = index.pick(account[held], np.where(turn[held] == 0, ordinal[held], ANY), rng)
    template[held], changed[held] = index.code[use], index.extra[use]
    # An API call without its prompt: not every product may keep it.
    bare = world.api[account] & ~held & (rng.random(len(at)) < 0.4)
    template[bare] = -1
    block["template"], block["changed"] = template, changed
    return block


def _calls(
    sessions: _Sessions, at: I64, indexes: Mapping[str, UseIndex], offset: int, rng: np.random.Generator, harm: F64
) -> dict[str, Any]:
    """An agent's session: the calls of its chain in order, some replaced, aimed at its target or at anything."""
    account, ordinal = sessions.account[at], sessions.ordinal[at]
    chains, targets = indexes["chain"], indexes["target"]
    fresh = new_templates(len(at), rng)
    use = chains.pick(account, ordinal, rng)
    chain = np.where(use >= 0, chains.code[use] if len(chains.code) else fresh, fresh)
    noise = np.where(use >= 0, chains.extra[use] if len(chains.extra) else 0.0, 0.0)
    aim = targets.pick(account, ordinal, rng)
    target = np.where(aim >= 0, targets.code[aim] if len(targets.code) else fresh, new_templates(len(at), rng))
    length = 5 + (mix(chain, 601) % np.uint64(8)).astype(np.int64)
    row = np.repeat(np.arange(len(at)), length)
    step = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    gap = np.cumsum(rng.gamma(2.0, 6.0, len(row)) * SECOND_US).astype(np.int64)
    since = gap - gap[(np.cumsum(length) - length)][row] if len(row) else gap
    block = _block(
        sessions,
        at[row],
        offset,
        sessions.start[at[row]] + since,
        TOOL_CALL,
        rng.random(len(row)) < harm[account[row]],
    )
    call = (mix(chain[row] * 32 + step, 607) >> np.uint64(8)).astype(np.int64)
    swapped = rng.random(len(row)) < noise[row]
    call[swapped] = rng.integers(0, 1 << 50, int(swapped.sum()))
    block["tool"] = call
    block["target"] = np.where((step == 0) | (rng.random(len(row)) < 0.6), target[row], new_templates(len(row), rng))
    return block


def _signups(
    world: World, accounts: I64, offset: int, honest: Mapping[str, UseIndex],
    hostile: Mapping[str, UseIndex], rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """One sign-up an account, from what it uses; an account that was made for an operation, from the operation's."""
    n = len(accounts)
    picked = {}
    for name in ("ip", "device"):
        own = honest[name].code[honest[name].pick(accounts, np.full(n, ANY), rng)]
        at = hostile[name].pick(accounts, np.zeros(n, dtype=np.int64), rng)
        made = (at >= 0) & (world.phase[accounts] != TAKEN_OVER)
        picked[name] = np.where(made, hostile[name].code[at], own) if len(hostile[name].code) else own
    stub = _Sessions(
        accounts, np.zeros(n, dtype=np.int64), False, world.created[accounts], picked["ip"], picked["device"]
    )
    ts = world.created[accounts] + (rng.gamma(2.0, 0.4, n) * SECOND_US).astype(np.int64)
    return _block(stub, np.arange(n), offset, ts, SIGNUP, np.zeros(n, dtype=np.bool_))


def freeze(world: World) -> tuple[dict[str, UseIndex], dict[str, UseIndex]]:
    """Packs the uses of both sides, and gives hostile sides the sessions that their traces need."""
    honest = {name: world.honest.uses[name].index(world.accounts) for name in FIELDS}
    hostile = {name: world.hostile.uses[name].index(world.accounts) for name in FIELDS}
    need = needed_sessions(world, hostile)
    world.hostile.sessions = np.where(
        world.phase == AT_SIGNUP, np.minimum(world.hostile.sessions, need), np.maximum(world.hostile.sessions, need)
    )
    world.hostile.sessions = np.maximum(world.hostile.sessions, need)
    return honest, hostile
