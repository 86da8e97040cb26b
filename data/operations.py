"""The operations: ten kinds of tradecraft, each a function that plants its traces on the members it is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ringwatch.data.draws import I64, Arrow
from ringwatch.data.names import DAY_US, END_US, ENTERPRISE, FREE, PRO, PROVIDER_TEXT, REFERRAL, TEAM
from ringwatch.data.plant import Operation
from ringwatch.data.prompts import WORDS, new_templates
from ringwatch.data.scenarios import Tactics
from ringwatch.data.world import AT_SIGNUP, TAKEN_OVER, World, signup_times

SMALLEST = 4
PROVIDERS_KEPT = 13  # the rest of the list gives mailboxes to throw away


def _templates(world: World) -> Callable[[int], I64]:
    return lambda count: new_templates(count, world.rng)


def shared_cards(op: Operation) -> None:
    """Stolen cards passed round, from a handful of addresses."""
    t, n = op.tactics, op.size
    op.share("payment", op.world.new, n / 7 + 1, 1, rotation=t.card_rotation)
    op.share("payment", op.world.new, n / 9 + 1, 1, rotation=t.card_rotation)
    op.share("ip", op.world.servers, n / 6 + 1, 2, rotation=t.ip_rotation)
    _mail_base(op, share=0.5)


def proxies(op: Operation) -> None:
    """Residential proxies, each met by a few members, and a few spoofed devices."""
    t, n = op.tactics, op.size
    op.share("ip", _homes(op.world), n * 1.2, 4, rotation=t.ip_rotation)
    op.share("device", op.world.new, n / 6 + 1, 1, rotation=t.device_rotation)
    op.share("device", op.world.new, n / 8 + 1, 1, rotation=t.device_rotation)


def prompt_farm(op: Operation) -> None:
    """Templates that every copy changes a little, and no shared infrastructure at all."""
    op.share("prompt", _templates(op.world), 4, 4, extra=op.tactics.paraphrase)


def tool_chain(op: Operation) -> None:
    """Agents that run the same chain against the same targets."""
    t, n = op.tactics, op.size
    op.share("chain", _templates(op.world), 2, 2, extra=t.paraphrase)
    op.share("target", _templates(op.world), n / 6 + 2, 2)
    op.share("ip", op.world.servers, n / 5 + 1, 1, rotation=t.ip_rotation)
    op.world.plan[op.members] = PRO


def slow_chain(op: Operation) -> None:
    """Each account shares an address, a device and a card with the next one only, and signs up days after it."""
    n = op.size
    position = np.concatenate([np.arange(n - 1), np.arange(1, n)])
    value = np.concatenate([np.arange(n - 1), np.arange(n - 1)])
    op.use("ip", position, value, _homes(op.world))
    op.use("device", position, value, op.world.new)
    op.use("payment", position, value, op.world.new)
    world = op.world
    step = np.cumsum(world.rng.gamma(2.0, 2.0 + op.tactics.signup_days / 8, n)) * DAY_US
    last = END_US - 6 * DAY_US
    start = min(int(world.created[op.members[0]]), last - int(step[-1]))
    world.created[op.members] = start + step.astype(np.int64)


def organization(op: Operation) -> None:
    """A customer with an org_id of its own that does harm behind one card, beside a front that does none."""
    world, n = op.world, op.size
    ours, front = world.new(2)
    op.share("ip", world.servers, 2, 2, rotation=op.tactics.ip_rotation)
    op.share("payment", world.new, 1 + n // 25, 1, rotation=op.tactics.card_rotation)
    op.share("prompt", _templates(world), 4, 2, extra=op.tactics.paraphrase)
    world.org[op.members] = ours
    op.have_one(np.arange(n))
    world.plan[op.members] = TEAM
    domain = world.domain(f"{_word(world)}.io")
    _at_domain(world, op.members, domain)
    clean = world.take(min(max(3, n // 2), 12))
    world.spare(clean, "front")
    world.org[clean] = front
    world.plan[clean] = ENTERPRISE
    _at_domain(world, clean, world.domain(f"{_word(world)}.com"))
    address = world.servers(1)[0]
    world.honest.uses["ip"].add(clean, address, weight=6.0)
    world.honest.uses["ip"].add(op.members[:2], address)  # the two that go in and out of both
    world.card[clean] = world.new(1)[0]


def referrals(op: Operation) -> None:
    """A tree of referrals for the bonus, signed up in small sittings at one machine."""
    world, n, t = op.world, op.size, op.tactics
    world.created[op.members] = np.sort(world.created[op.members])  # who invites was there first
    parent = np.floor(np.arange(1, n) * world.rng.random(n - 1) ** 0.7).astype(np.int64) // 2
    child = np.arange(1, n)
    op.link(parent, child, REFERRAL, world.created[op.members[child]])
    seat = np.arange(n) // 4
    op.use("device", np.arange(n), seat, world.new)
    op.share("ip", world.servers, n / 5 + 1, 1, rotation=t.ip_rotation)
    world.phase[op.members] = AT_SIGNUP


def resale(op: Operation) -> None:
    """One operator makes the accounts in a row and sells them: later owners share nothing with each other."""
    world, n, t = op.world, op.size, op.tactics
    op.share("device", world.new, n / 7 + 1, 1, rotation=t.device_rotation)
    op.share("ip", world.servers, n / 5 + 1, 2, rotation=t.ip_rotation)
    op.share("phone", world.new, n / 3, 1)
    world.country[op.members] = world.country[op.members[0]]  # of the SIM cards
    _mail_base(op, share=0.8)
    world.phase[op.members] = AT_SIGNUP


def scraping(op: Operation) -> None:
    """Distillation by many accounts with templates and slots, behind proxies in homes of real users."""
    t, n = op.tactics, op.size
    op.share("ip", _homes(op.world, real=0.6), n / 2, 3, rotation=t.ip_rotation)
    op.share("prompt", _templates(op.world), n / 8 + 3, 3, extra=min(t.paraphrase + 0.06, 0.4))
    op.world.api[op.members] = True


def stolen(op: Operation) -> None:
    """Accounts of real users, used from the thief's machines from one day on, between the owner's own sessions."""
    t, n, world = op.tactics, op.size, op.world
    op.share("ip", world.servers, n / 6 + 2, 2, rotation=t.ip_rotation)
    op.share("device", world.new, n / 7 + 1, 1, rotation=t.device_rotation)
    op.share("prompt", _templates(world), 2, 1, extra=t.paraphrase)
    world.phase[op.members] = TAKEN_OVER


#: Kind → what plants it, its sizes (smallest, median, largest), the range of the share of its events that do harm.
KINDS: dict[str, tuple[Callable[[Operation], None], tuple[int, int, int], tuple[float, float]]] = {
    "shared_cards": (shared_cards, (5, 16, 70), (0.25, 0.55)),
    "proxies": (proxies, (6, 18, 80), (0.25, 0.60)),
    "prompt_farm": (prompt_farm, (5, 16, 60), (0.30, 0.60)),
    "tool_chain": (tool_chain, (5, 14, 50), (0.30, 0.60)),
    "referrals": (referrals, (6, 20, 80), (0.15, 0.35)),
    "slow_chain": (slow_chain, (5, 10, 24), (0.25, 0.50)),
    "organization": (organization, (6, 14, 40), (0.25, 0.55)),
    "resale": (resale, (8, 20, 90), (0.15, 0.40)),
    "scraping": (scraping, (10, 36, 3000), (0.20, 0.45)),
    "stolen": (stolen, (5, 12, 40), (0.30, 0.60)),
}


def plant_operations(world: World, tactics: Tactics, members: int) -> list[Operation]:
    """Operations of `members` accounts together, the kinds in turn; `world.group` gets their numbers."""
    rng = world.rng
    done: list[Operation] = []
    left = members
    names = list(KINDS)
    while left >= SMALLEST:
        number = len(done)
        kind = names[number % len(names)]
        plant, (low, median, high), harm = KINDS[kind]
        spread = 0.8 if high > 1000 else 0.5
        size = int(np.clip(rng.lognormal(np.log(median), spread), low, high))
        size = min(size, left, max(SMALLEST, members // 4))
        if left - size < SMALLEST:
            size = left
        chosen = world.take(size)
        operation = Operation(world, tactics, kind, chosen)
        _settle(operation, float(rng.uniform(*harm)))
        plant(operation)
        world.group[chosen] = number
        done.append(operation)
        left -= size
    return done


def _settle(op: Operation, harm: float) -> None:
    """What all kinds have in common: a burst of sign-ups, working hours, a plan, harm of one sort."""
    world, members, rng, t = op.world, op.members, op.world.rng, op.tactics
    n = len(members)
    sessions = 1 + rng.poisson(rng.gamma(2.0, 1.5, n))
    world.hostile.sessions[members] = sessions
    world.hostile.harm[members] = np.clip(rng.normal(harm, 0.12, n), 0.02, 0.95)
    world.harm_kind[members] = rng.integers(0, 10)
    world.suspended[members] |= rng.random(n) < 0.04
    world.campaign[members] = rng.integers(1, 1 << 50)
    if op.kind == "stolen":
        world.since[members] = END_US - rng.integers(10, 80) * DAY_US
        old = END_US - 100 * DAY_US
        world.created[members] = np.minimum(world.created[members], old - rng.integers(0, 200 * DAY_US, n))
        return
    spread = rng.lognormal(np.log(1.5), 0.8) + t.signup_days
    start = int(min(signup_times(1, rng)[0], END_US - 12 * DAY_US))
    world.created[members] = np.minimum(
        start + (rng.beta(1.2, 1.2, n) * spread * DAY_US).astype(np.int64), END_US - 3 * DAY_US
    )
    if rng.random() < 0.2:
        thrown = members[rng.random(n) < 0.6]
        world.mail["domain"][thrown] = rng.integers(PROVIDERS_KEPT, len(PROVIDER_TEXT), len(thrown))
    own = rng.random(n) < 0.2
    world.card[members] = np.where(own, world.card[members], -1)
    world.plan[members] = np.where(world.card[members] >= 0, world.plan[members], FREE)
    if op.kind in ("resale", "referrals"):
        world.honest.harm[members] = world.hostile.harm[members]
        return
    world.honest.sessions[members] = rng.binomial(sessions, t.dilution)
    world.hour[members] = (rng.uniform(0, 24) + rng.normal(0, 1.5, n)) % 24


def _homes(world: World, *, real: float = 0.15) -> Callable[[int], I64]:
    """Addresses of homes: a share of them of real users of this world, whose traffic they carry as well."""

    def make(count: int) -> I64:
        some = world.home[world.rng.integers(0, world.accounts, count)]
        other = world.hosts(world.new_networks(count), world.rng.integers(1, 255, count))
        return np.where(world.rng.random(count) < real, some, other)

    return make


def _mail_base(op: Operation, *, share: float) -> None:
    """Mailboxes counted up from one name, for a share of the members."""
    world, mail = op.world, op.world.mail
    positions = np.flatnonzero(world.rng.random(op.size) < share * (1 - op.tactics.hidden))
    some = op.members[positions]
    op.have_one(positions)
    first = world.rng.integers(0, 1 << 20)
    mail["first"][some], mail["last"][some] = first, first >> 8
    mail["style"][some] = world.rng.choice([2, 5])
    mail["number"][some] = world.rng.integers(1, 2000) + np.arange(len(some))
    mail["domain"][some] = world.rng.integers(0, 3)


def _at_domain(world: World, members: I64, domain: int) -> None:
    world.mail["domain"][members] = domain
    world.mail["style"][members] = 0


def _word(world: World) -> str:
    words: list[str] = [WORDS[int(world.rng.integers(400, len(WORDS)))].as_py() for _ in range(2)]
    return "".join(words)


def operations_table(operations: list[Operation], names: Arrow) -> pa.Table:
    """`group_id`, `kind`, `size`, `attainable_f1`, a row an operation."""
    return pa.table({
        "group_id": names,
        "kind": pa.array([operation.kind for operation in operations], pa.string()),
        "size": pa.array([operation.size for operation in operations], pa.int64()),
        "attainable_f1": pa.array([operation.attainable() for operation in operations], pa.float64()),
    })  # fmt: skip
