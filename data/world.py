"""The population before anybody is up to anything: who they are, where they connect from, what they own.

Accounts are numbered; a number says nothing, because groups take their members from a random permutation, and the
id that the drop shows is a mix of the number and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ringwatch.data.draws import F64, I64, V6, address
from ringwatch.data.names import (
    COUNTRY_HOURS,
    COUNTRY_SHARE,
    DAY_US,
    END_US,
    FIRST,
    FREE,
    LAST,
    PLUS,
    PRO,
    PROVIDER_SHARE,
    PROVIDER_TEXT,
    SIGNUP_DAYS,
)
from ringwatch.data.prompts import new_templates
from ringwatch.data.uses import Uses

FIELDS = ("ip", "device", "payment", "prompt", "chain", "target")
MAIL_STYLES = 6
IN_WINDOW, AT_SIGNUP, TAKEN_OVER = range(3)
"""When hostile sessions happen: in bursts over the window, right after sign-up, or after the account was stolen."""

ALARMED, ALARM_RATE = 0.06, 0.003
"""False alarms: a few people's topics set the classifier off again and again, everybody else's hardly ever."""


@dataclass
class Side:
    """What the sessions of one side of an account draw from: `honest` like anybody, `hostile` for an operation."""

    sessions: npt.NDArray[np.int64]
    harm: F64
    uses: dict[str, Uses] = field(default_factory=lambda: {name: Uses() for name in FIELDS})


@dataclass
class World:
    """Columns of the population, an entry an account; filled group by group, then written.

    `created` is in microseconds. `hour` is the middle of the account's day in UTC. `home`, `device` and `card` are
    what the account owns (card: -1 for none); `org` and `phone` are -1 for none. `group` is the number of its
    operation, `benign` of its benign group (-1 for none), and `benign_kinds` says what each of those is. `mail` holds
    name parts, a number, a style and a domain. `phase` says when hostile sessions happen (see `activity`), `since`
    from when on.
    """

    accounts: int
    seed: int
    rng: np.random.Generator
    created: I64
    country: I64
    hour: F64
    home: I64
    device: I64
    card: I64
    phone: I64
    org: I64
    plan: I64
    agent: I64
    api: npt.NDArray[np.bool_]
    mail: dict[str, I64]
    honest: Side
    hostile: Side
    phase: I64
    since: I64
    campaign: I64
    harm_kind: I64
    suspended: npt.NDArray[np.bool_]
    domains: list[str]
    group: I64
    benign: I64
    order: I64
    benign_kinds: list[str] = field(default_factory=list)
    relations: list[tuple[I64, I64, int, I64]] = field(default_factory=list)
    entities: list[tuple[str, int, str, str]] = field(default_factory=list)
    taken: int = 0
    serial: int = 0
    networks: int = 0

    @property
    def left(self) -> int:
        """How many accounts belong to no group yet."""
        return self.accounts - self.taken

    def take(self, count: int) -> I64:
        """Numbers of accounts that belong to no group yet, at random; fewer when they run out."""
        members = self.order[self.taken : self.taken + count]
        self.taken += len(members)
        return members

    def spare(self, members: I64, kind: str, number: I64 | int = 0) -> None:
        """Records members of a benign group, or of several that are numbered from 0."""
        self.benign[members] = len(self.benign_kinds) + np.asarray(number)
        self.benign_kinds += [kind] * (int(np.max(number, initial=0)) + 1)

    def new(self, count: int) -> I64:
        """Codes of devices, cards or organizations that nobody has yet."""
        self.serial += count
        return np.arange(self.serial - count, self.serial) + (1 << 36)

    def new_networks(self, count: int) -> I64:
        """Numbers of networks that nobody is in yet."""
        self.networks += count
        return np.arange(self.networks - count, self.networks)

    def hosts(self, network: npt.ArrayLike, host: npt.ArrayLike) -> I64:
        """Addresses in networks."""
        return address(network, host, self.seed * 7919)

    def servers(self, count: int, *, per_network: int = 4) -> I64:
        """Addresses in networks of their own, `per_network` in each."""
        networks = self.new_networks(-(-count // per_network))
        host = self.rng.integers(2, 254, count)
        return np.unique(self.hosts(np.repeat(networks, per_network)[:count], host))

    def domain(self, name: str) -> int:
        """The number of a mail domain."""
        self.domains.append(name)
        return len(self.domains) - 1

    def relate(self, src: I64, dst: I64, kind: int, when: I64) -> None:
        """Adds relations (kinds in `writer.RELATIONS`), at `when` microseconds."""
        self.relations.append((src, dst, kind, when))


def signup_times(count: int, rng: np.random.Generator) -> I64:
    """Sign-ups over two years, more of them lately; microseconds."""
    days = SIGNUP_DAYS * (1 - rng.random(count) ** 1.4)
    return np.asarray(
        END_US - DAY_US // 2 - ((SIGNUP_DAYS - days) * (DAY_US - 1)).astype(np.int64) % (SIGNUP_DAYS * DAY_US)
    )


def populate(accounts: int, seed: int) -> World:
    """Everybody, as if there were no groups."""
    rng = np.random.default_rng([seed, 1])
    n = accounts
    country = rng.choice(len(COUNTRY_SHARE), n, p=COUNTRY_SHARE)
    created = signup_times(n, rng)
    has_card = rng.random(n) < 0.35
    harm = np.where(rng.random(n) < ALARMED, rng.beta(1.2, 10.0, n), ALARM_RATE)
    sessions = 1 + rng.poisson(rng.gamma(1.3, 2.2, n))
    mail = {
        "first": rng.integers(0, len(FIRST), n),
        "last": rng.integers(0, len(LAST), n),
        "number": np.floor(10 ** (rng.random(n) * 4)).astype(np.int64),
        "style": rng.choice(MAIL_STYLES, n, p=[0.28, 0.16, 0.24, 0.12, 0.14, 0.06]),
        "domain": rng.choice(len(PROVIDER_SHARE), n, p=PROVIDER_SHARE),
    }
    world = World(
        accounts=n, seed=seed, rng=rng, created=created, country=country,
        hour=np.zeros(n), home=np.zeros(n, dtype=np.int64), device=np.arange(n),
        card=np.where(has_card, np.arange(n), -1), phone=np.where(rng.random(n) < 0.55, np.arange(n), -1),
        org=np.full(n, -1), plan=np.where(has_card, rng.choice([PLUS, PRO], n, p=[0.8, 0.2]), FREE),
        agent=rng.integers(0, 1 << 40, n), api=rng.random(n) < 0.12, mail=mail,
        honest=Side(sessions, harm), hostile=Side(np.zeros(n, dtype=np.int64), np.zeros(n)),
        phase=np.zeros(n, dtype=np.int64), since=np.zeros(n, dtype=np.int64), campaign=np.full(n, -1),
        harm_kind=rng.integers(0, 10, n), suspended=rng.random(n) < 0.012, domains=list(PROVIDER_TEXT),
        group=np.full(n, -1), benign=np.full(n, -1), order=rng.permutation(n),
    )  # fmt: skip
    world.serial = n
    _connect(world)
    _own(world)
    return world


def _connect(world: World) -> None:
    """Homes (some IPv6), mobile carriers' NAT, VPN exits, cafés."""
    n, rng = world.accounts, world.rng
    world.hour = (rng.normal(18.5, 3.0, n) - COUNTRY_HOURS[world.country]) % 24
    networks = world.new_networks(max(8, n // 5))
    network = networks[rng.integers(0, len(networks), n)]
    six = rng.random(n) < 0.18
    world.home = np.where(six, V6 + world.new(n), world.hosts(network, rng.integers(1, 255, n)))
    uses = world.honest.uses["ip"]
    moved = np.flatnonzero((rng.random(n) < 0.25) & ~six)  # the provider gives another address of its network
    uses.add(moved, world.hosts(network[moved], rng.integers(1, 255, len(moved))), weight=2.0)
    _crowd(world, "cgnat", share=0.55, per_address=120, uses=3, listed=0.87, weight=1.5, by_country=True)
    _crowd(world, "vpn", share=0.09, per_address=60, uses=2, listed=0.87, weight=1.0)
    _crowd(world, "", share=0.06, per_address=14, uses=1, listed=0.0, weight=0.6)


def _crowd(
    world: World, kind: str, *, share: float, per_address: int, uses: int, listed: float, weight: float,
    by_country: bool = False,
) -> None:  # fmt: skip
    """Addresses that many strangers share, by popularity that differs; some are known as what they are."""
    rng = world.rng
    who = np.flatnonzero(rng.random(world.accounts) < share)
    count = max(2, len(who) * uses // (per_address * 2))
    codes = world.servers(count, per_network=6)
    count = len(codes)
    place = np.sort(rng.random(count))
    for _ in range(uses):
        some = who[rng.random(len(who)) < 0.75]
        if by_country:  # a carrier's addresses serve one country: neighbours in one stretch of the pool
            low = np.concatenate([[0.0], np.cumsum(COUNTRY_SHARE)])[world.country[some]]
            at = low + rng.random(len(some)) * COUNTRY_SHARE[world.country[some]]
        else:
            at = rng.random(len(some)) ** 1.5
        world.honest.uses["ip"].add(some, codes[np.searchsorted(place, at) % count], weight=weight)
    for code in codes[rng.random(count) < listed] if kind else []:
        world.entities.append(("ip", int(code), kind, f"{kind} egress"))


def _own(world: World) -> None:
    """Second devices and cards, and an agent's usual chains for those who build some."""
    n, rng = world.accounts, world.rng
    for share in (0.4, 0.12):
        more = np.flatnonzero(rng.random(n) < share)
        world.honest.uses["device"].add(more, world.new(len(more)), weight=0.5)
    second = np.flatnonzero((rng.random(n) < 0.05) & (world.card >= 0))
    world.honest.uses["payment"].add(second, world.new(len(second)))
    builders = np.flatnonzero(rng.random(n) < 0.10)
    popular = new_templates(max(6, n // 150), rng)
    skewed = (len(popular) * rng.random(len(builders)) ** 2).astype(np.int64)
    world.honest.uses["chain"].add(builders, popular[skewed], extra=0.35)
    world.honest.uses["target"].add(builders, new_templates(len(builders), rng))
    world.honest.uses["target"].add(builders, new_templates(len(builders), rng))


def close(world: World) -> None:
    """Adds what every account owns, once the groups have decided what that is."""
    everybody = np.arange(world.accounts)
    world.honest.uses["ip"].add(everybody, world.home, weight=4.0)
    world.honest.uses["device"].add(everybody, world.device, weight=2.0)
    payers = np.flatnonzero(world.card >= 0)
    world.honest.uses["payment"].add(payers, world.card[payers], weight=2.0)
