"""Groups that look like operations and are none: they share as much, and do no more harm than anybody.

Red teamers and researchers do as much harm, and are benign.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ringwatch.data.draws import I64
from ringwatch.data.names import DAY_US, END_US, ENTERPRISE, FOLLOW, INVITE, MESSAGE, REFERRAL, TEAM, TRANSFER
from ringwatch.data.prompts import WORDS, new_templates
from ringwatch.data.world import World, signup_times

SMALLEST = 3


def plant_benign(world: World) -> dict[str, int]:
    """Plants every kind in proportion to the population; gives how many of each there are."""
    planted = {
        "households": households(world, round(world.accounts * 0.08)),
        "campuses": _repeat(world, 1 / 4500, campus),
        "companies": _repeat(world, 1 / 600, company),
        "hackathons": _repeat(world, 1 / 3500, hackathon),
        "agencies": _repeat(world, 1 / 2000, agency),
        "cafes": _repeat(world, 1 / 2500, internet_cafe),
        "red_teams": _repeat(world, 1 / 10_000, red_team),
    }
    researchers(world)
    viral(world)
    relations(world)
    return planted


def _repeat(world: World, rate: float, plant: Callable[[World, int], None]) -> int:
    count = max(1, round(world.accounts * rate))
    for number in range(count):
        if world.left < SMALLEST:
            return number
        before = world.taken
        plant(world, number)
        world.spare(world.order[before : world.taken], plant.__name__)
    return count


def _some(world: World, low: int, high: int) -> I64:
    """Members of a group of a size between the two, no group with more than a fifteenth of everybody."""
    top = max(3, world.accounts // 15)
    size = int(np.exp(world.rng.uniform(np.log(low), np.log(high))))
    return world.take(max(SMALLEST, min(size, top)))


def _name(world: World) -> str:
    return "".join(str(WORDS[int(at)]) for at in world.rng.integers(400, len(WORDS), 2))


def _mail(world: World, members: I64, ending: str) -> None:
    world.mail["domain"][members] = world.domain(_name(world) + ending)
    world.mail["style"][members] = world.rng.choice([0, 1, 3])


def _prompts(world: World, members: I64, count: int, each: int, changed: float, *, share: float = 1.0) -> None:
    """Each member sends `each` of `count` templates, with a share of the words changed."""
    templates = new_templates(count, world.rng)
    for _ in range(each):
        who = members[world.rng.random(len(members)) < share]
        drawn = templates[(count * world.rng.random(len(who)) ** 1.5).astype(np.int64)]
        world.honest.uses["prompt"].add(who, drawn, extra=changed)


def households(world: World, count: int) -> int:
    """Two to five people behind one address; some share a tablet, some a card; they refer each other."""
    rng = world.rng
    sizes = rng.choice([2, 3, 4, 5], count, p=[0.55, 0.25, 0.15, 0.05])
    members = world.take(int(sizes.sum()))
    house = np.repeat(np.arange(count), sizes)[: len(members)]
    first = np.searchsorted(house, house)
    head = members[first]
    world.spare(members, "household", house)
    world.home[members] = world.home[head]
    world.country[members], world.hour[members] = world.country[head], world.hour[head] + rng.normal(0, 2, len(head))
    tablet = (rng.random(count) < 0.35)[house]
    world.honest.uses["device"].add(members[tablet], world.device[head[tablet]], weight=0.7)
    family = (rng.random(count) < 0.3)[house] & (world.card[head] >= 0)
    world.card[members[family]] = world.card[head[family]]
    invited = (rng.random(len(members)) < 0.25) & (members != head)
    later = np.maximum(world.created[members], world.created[head])
    world.relate(head[invited], members[invited], REFERRAL, later[invited])
    return count


def campus(world: World, number: int) -> None:
    """Hundreds behind one NAT, at shared lab machines, with homework that they copy from each other."""
    rng, members = world.rng, _some(world, 150, 600)
    exits = world.servers(int(rng.integers(2, 5)))
    for _ in range(2):
        world.honest.uses["ip"].add(members, rng.choice(exits, len(members)), weight=3.0)
    lab = world.new(max(2, len(members) // 25))
    at_lab = members[rng.random(len(members)) < 0.5]
    world.honest.uses["device"].add(at_lab, rng.choice(lab, len(at_lab)), weight=1.0)
    _prompts(world, members, 8, 2, float(rng.uniform(0.02, 0.10)), share=0.6)
    term = int(signup_times(1, rng)[0])
    fresh = members[rng.random(len(members)) < 0.6]
    world.created[fresh] = np.minimum(term + rng.integers(0, 20 * DAY_US, len(fresh)), END_US - DAY_US)
    _mail(world, members[rng.random(len(members)) < 0.7], ".edu")
    world.country[members] = world.country[members[0]]
    world.hour[members] = (world.hour[members[0]] + rng.normal(0, 3, len(members))) % 24
    if number % 4 != 1:
        world.entities += [("ip", int(code), "campus", "campus NAT") for code in exits]
        world.entities += [("device", int(code), "shared_device", "lab machine") for code in lab[: len(lab) // 2]]


def company(world: World, number: int) -> None:
    """One egress, one card, templates, for some an agent of their own; some are known as companies."""
    rng, members = world.rng, _some(world, 6, 60)
    _staff(world, members)
    exits = world.servers(int(rng.integers(1, 3)))
    world.honest.uses["ip"].add(members, rng.choice(exits, len(members)), weight=8.0)
    _prompts(world, members, 5, 2, float(rng.uniform(0.05, 0.20)), share=0.8)
    if rng.random() < 0.4:
        agents = members[rng.random(len(members)) < 0.6]
        world.honest.uses["chain"].add(agents, new_templates(1, rng)[0], extra=0.08)
        world.honest.uses["target"].add(agents, rng.choice(new_templates(3, rng), len(agents)))
    if number % 2 == 0:
        world.entities += [("ip", int(code), "company", "office egress") for code in exits]


def _staff(world: World, members: I64) -> None:
    """An organization: one card, one domain, one plan, working hours, sign-ups over months or in one go."""
    rng = world.rng
    world.org[members] = world.new(1)[0] if rng.random() < 0.85 else -1
    world.plan[members] = ENTERPRISE
    world.card[members] = world.new(1)[0]
    _mail(world, members, ".com")
    world.country[members] = world.country[members[0]]
    world.hour[members] = (world.hour[members[0]] - 5 + rng.normal(0, 2, len(members))) % 24
    start = int(signup_times(1, rng)[0])
    spread = float(rng.choice([1.0, 14.0, 200.0]))
    late = start + (rng.random(len(members)) * spread * DAY_US).astype(np.int64)
    world.created[members] = np.minimum(late, END_US - DAY_US - rng.integers(0, 20 * DAY_US, len(members)))


def hackathon(world: World, number: int) -> None:
    """A burst of sign-ups at one venue, with the organisers' starter prompts and voucher referrals."""
    rng, members = world.rng, _some(world, 30, 120)
    start = int(min(signup_times(1, rng)[0], END_US - 8 * DAY_US))
    world.created[members] = start + (rng.random(len(members)) * 0.4 * DAY_US).astype(np.int64)
    world.honest.uses["ip"].add(members, rng.choice(world.servers(2), len(members)), weight=2.0)
    _prompts(world, members, 4, 2, 0.12, share=0.7)
    if number % 2 == 0:
        world.relate(np.full(len(members) - 1, members[0]), members[1:], INVITE, world.created[members[1:]])


def agency(world: World, _number: int) -> None:
    """A few people who work many clients' accounts from the same desks, with one card for each client."""
    rng, members = world.rng, _some(world, 8, 24)
    desks = world.new(max(2, len(members) // 4))
    world.honest.uses["device"].add(members, rng.choice(desks, len(members)), weight=4.0)
    world.honest.uses["ip"].add(members, world.servers(1)[0], weight=6.0)
    cards = world.new(max(1, len(members) // 4))
    world.card[members] = rng.choice(cards, len(members))
    world.plan[members] = TEAM
    _prompts(world, members, 6, 2, 0.15)
    base = world.rng.integers(0, 1 << 20)
    world.mail["first"][members], world.mail["style"][members] = base, 2
    world.mail["number"][members] = np.arange(len(members)) + 1
    _mail(world, members, ".agency")
    world.mail["style"][members] = 2


def internet_cafe(world: World, number: int) -> None:
    """Strangers at a few public machines behind one address."""
    rng, members = world.rng, _some(world, 12, 60)
    seats = world.new(max(3, len(members) // 6))
    for _ in range(2):
        world.honest.uses["device"].add(members, rng.choice(seats, len(members)), weight=2.0)
    world.honest.uses["ip"].add(members, world.servers(1)[0], weight=3.0)
    world.country[members] = world.country[members[0]]
    if number % 2 == 0:
        world.entities += [("device", int(code), "shared_device", "public terminal") for code in seats]


def red_team(world: World, _number: int) -> None:
    """A known customer's company, a third of it a team that tests safeguards: its harm is as an operation's."""
    rng, members = world.rng, _some(world, 12, 50)
    _staff(world, members)
    exit_ = world.servers(1)[0]
    world.honest.uses["ip"].add(members, exit_, weight=8.0)
    _prompts(world, members, 4, 1, 0.15, share=0.5)
    team = members[: max(SMALLEST, len(members) // 3)]
    _prompts(world, team, 6, 3, 0.15)
    world.honest.harm[team] = rng.uniform(0.2, 0.5, len(team))
    world.entities.append(("ip", int(exit_), "company", "office egress"))


def researchers(world: World) -> None:
    """Single people, one in five hundred, who probe the model for a living."""
    alone = world.take(max(1, world.accounts // 500))
    world.honest.harm[alone] = world.rng.uniform(0.15, 0.6, len(alone))


def viral(world: World) -> None:
    """Prompts that went round: up to one account in twelve sends one, most of them word for word."""
    rng = world.rng
    for template in new_templates(min(6 + world.accounts // 5000, 40), rng):
        reach = np.exp(rng.uniform(np.log(0.002), np.log(0.08)))
        senders = np.flatnonzero(rng.random(world.accounts) < reach)
        world.honest.uses["prompt"].add(senders, template, extra=float(rng.choice([0.0, 0.02, 0.06])))


def relations(world: World) -> None:
    """Referrals by friends and by a few creators with an audience; follows, messages, transfers between strangers."""
    rng, n = world.rng, world.accounts
    invited = np.flatnonzero(rng.random(n) < 0.04)
    by = rng.integers(0, n, len(invited))
    creators = rng.integers(0, n, max(2, n // 3000))
    loud = rng.random(len(invited)) < 0.4
    by[loud] = rng.choice(creators, int(loud.sum()))
    known = by != invited
    by, invited = by[known], invited[known]
    world.relate(by, invited, REFERRAL, np.maximum(world.created[by], world.created[invited]))
    for kind, share in ((FOLLOW, 0.02), (MESSAGE, 0.015), (TRANSFER, 0.005)):
        src = np.flatnonzero(rng.random(n) < share)
        dst = rng.integers(0, n, len(src))
        src, dst = src[src != dst], dst[src != dst]
        begin = np.maximum(world.created[src], world.created[dst])
        when = begin + (rng.random(len(src)) * (END_US - begin)).astype(np.int64)
        world.relate(src, dst, kind, when)
