"""Bits are what the arithmetic says, reasons add up to them, EM finds what was planted, hubs stay small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ringwatch.graphs.abuse import Harm
from ringwatch.graphs.accounts import AccountTable, IntArray
from ringwatch.graphs.comparison import build_model
from ringwatch.graphs.evidence import HIDING, Contrast, Model, Shared, bounded
from ringwatch.graphs.habits import home
from ringwatch.graphs.layers import Incidence, LayerSpec, Relation, incidence_from
from ringwatch.graphs.learning import _patterns, probability
from ringwatch.graphs.pairs import ALL_PAIRS, CONJUNCTIONS, LATTICE, candidate_pairs

CARD = LayerSpec("payment", "payment", 0.4, "a payment instrument")
DEVICE = LayerSpec("device", "device", 0.4, "a device")
ADDRESS = LayerSpec("ip", "network", 0.3, "an IP address")
NETWORK = LayerSpec("network", "network", 0.3, "a network")


def _incidence(
    spec: LayerSpec, account: IntArray, entity: IntArray, floors: dict[int, float] | None = None
) -> Incidence:
    rows = pd.DataFrame({"i": account, "entity": entity}).drop_duplicates().sort_values(["i", "entity"])
    times = np.full(len(rows), np.nan)
    return incidence_from(
        spec,
        {
            "i": rows["i"].to_numpy(), "entity": rows["entity"].to_numpy(), "n": np.ones(len(rows), dtype=np.int64),
            "first": times, "last": times,
        },
        floors,
    )  # fmt: skip


def _accounts(n: int, created: IntArray | None = None, country: IntArray | int = -1) -> AccountTable:
    ids = [f"a{i:06d}" for i in range(n)]
    times = np.zeros(n) if created is None else created.astype(np.float64)
    frame = pd.DataFrame({"account_id": ids, "created_at": times, "country": country})
    return AccountTable(frame, harm_known=False)


def _layer(name: str, group: str, pair: list[int], rarity: list[float], m: float, gain: float = 0.0) -> Shared:
    size = len(pair)
    return Shared(
        name, group, name, np.array(pair), np.array(rarity), np.ones(size, dtype=np.int64),
        np.arange(size), m, np.full(size, gain), np.full(max(size, 1), 2), np.zeros(max(size, 1), dtype=np.bool_),
    )  # fmt: skip


def _model() -> Model:
    """Four pairs: a card; an address and its network; nothing where both had a chance; nothing at all."""
    signup = Contrast(
        "signup", "signup", "Sign-ups mostly", np.array([0, 1, -1, 1], dtype=np.int8),
        np.array([0.25, 0.75]), np.array([0.5, 0.5]), ["close", "far"],
    )  # fmt: skip
    both = {"payment": np.array([True, True, True, False]), "network": np.array([False, True, True, False])}
    shared = [
        _layer("payment", "payment", [0], [10.0], 0.5),
        _layer("ip", "network", [1], [8.0], 0.25),
        _layer("network", "network", [1], [7.0], 0.5),
    ]
    return Model(100, np.array([0, 1, 2, 3]), np.array([4, 5, 6, 7]), shared, [signup], both, -12.0)


def test_bits_by_hand() -> None:
    half = float(np.log2(HIDING + (1 - HIDING) * 0.5))
    quarter = float(np.log2(HIDING + (1 - HIDING) * 0.5 * 0.25))
    expected = [
        -12 + (10 - 1) + 1,  # log2(m) + rarity, and a sign-up as likely again among mates
        -12 + max(8 - 2, 7 - 1) + half + np.log2(2 / 3),  # address and network count once; a card is missing
        -12
        + quarter,  # both cards and both addresses known, nothing in common; 1 - .25 - .5 of mates share no network
        -12 + np.log2(2 / 3),
    ]
    assert _model().bits() == pytest.approx(expected)


def test_reasons_add_up_to_the_bits() -> None:
    model = _model()
    for pairs in (np.arange(4), np.array([1]), np.array([1, 3])):
        total = np.full(len(pairs), model.prior)
        for reason in model.explain(pairs):
            total[reason.at] += reason.bits
        assert total == pytest.approx(model.bits()[pairs])


def test_a_group_alone_says_what_it_says_in_the_whole() -> None:
    model = _model()
    alone = model.only("network")
    assert alone.bits() == pytest.approx([-12, -12 + 6, -12 + np.log2(HIDING + (1 - HIDING) * 0.25), -12])
    assert model.only("signup").bits() == pytest.approx([-11, -12 + np.log2(2 / 3), -12, -12 + np.log2(2 / 3)])
    assert alone.groups == ["network"]


def test_a_layer_is_told_once_where_two_of_a_group_say_the_same() -> None:
    told = [reason.name for reason in _model().explain(np.array([1])) if reason.kind == "shared" and len(reason.at)]
    assert told == ["ip"]


def test_what_is_absent_is_bounded() -> None:
    assert bounded(np.array([0.0, -1e3])) == pytest.approx([0.0, np.log2(HIDING)])


def test_a_habit_in_common_counts_where_nothing_is_shared_and_only_there() -> None:
    words = ["on neither side", "on one side only", "on both sides"]
    u, m = np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.25, 0.25])
    cards = Contrast("payment_presence", "payment", "payment", np.array([2, 2, 2, 0], dtype=np.int8), u, m, words)
    plain = _model()
    model = replace(plain, presence={"payment": cards})
    # Pair 0 shares a card, so that both have one is said already; to pairs 1 and 2 it says nothing at m = u.
    assert model.bits()[:3] == pytest.approx(plain.bits()[:3])
    assert model.bits()[3] == pytest.approx(plain.bits()[3] + np.log2(HIDING + (1 - HIDING) * 2.0))
    again = replace(model, presence={"payment": cards, "network": replace(cards, name="network_presence", m=u[::-1])})
    for told in (model, again):
        bits = np.full(4, told.prior)
        for reason in told.explain(np.arange(4)):
            np.add.at(bits, reason.at, reason.bits)
        assert bits == pytest.approx(told.bits())


def test_em_learns_that_one_operators_accounts_have_or_lack_a_thing_together() -> None:
    rng = np.random.default_rng(5)
    crowd, rings, size = 2_000, 60, 6
    n = crowd + rings * size
    cards = _incidence(CARD, crowd + np.arange(rings * size), np.repeat(np.arange(rings), size))
    known = np.r_[rng.random(crowd) < 0.5, np.repeat(np.arange(rings) % 2 == 0, size)]
    devices = _incidence(DEVICE, np.flatnonzero(known), np.arange(int(known.sum())))
    first, second = candidate_pairs([cards, devices], [], n, seed=1)
    model = build_model(_accounts(n), [cards, devices], [], first, second, seed=1)
    neither, one, both = np.log2(model.presence["device"].m / model.presence["device"].u)
    assert neither > both > 0, "of those who both have devices and share none fewer are taken for one"
    assert one < -0.5
    assert not build_model(_accounts(n), [cards, devices], [], first, second, seed=1, without=["presence"]).presence


def test_a_crowds_entity_is_worth_nothing_and_never_less() -> None:
    assert _layer("ip", "network", [0], [0.5], 0.25).bits.tolist() == [0.0]


def test_known_infrastructure_lowers_the_bits() -> None:
    account, entity = np.arange(4), np.array([7, 7, 9, 9])
    n = 10_000
    first, second = np.array([0, 2]), np.array([1, 3])
    rarity = []
    for floors in (None, {7: 0.02}):
        incidence = _incidence(ADDRESS, account, entity, floors)
        model = build_model(_accounts(n), [incidence], [], first, second, seed=1)
        rarity.append(model.shared[0].rarity)
        assert model.shared[0].common.tolist() == [floors is not None, False]
    assert rarity[0] == pytest.approx(np.full(2, np.log2(n / 2)))
    assert rarity[1] == pytest.approx([np.log2(1 / 0.02), np.log2(n / 2)])


@pytest.mark.parametrize(("shared", "more", "bits"), [(1, 0, 0.0), (4, 0, 1.0), (1, 15, -7.65)])
def test_all_cards_of_one_in_all_of_the_other_are_one_meeting_and_more_tries_are_more_chance(
    shared: int, more: int, bits: float
) -> None:
    both = np.arange(shared)
    # What either end has besides, and somebody else as well: 16 × 16 tries at 31 things of two users each.
    apart = shared + np.arange(2 * more)
    account = np.concatenate([np.zeros(shared), np.ones(shared), np.repeat([0, 1], more), np.full(2 * more, 2)])
    entity = np.concatenate([both, both, apart, apart])
    devices = _incidence(DEVICE, account.astype(np.int64), entity)
    model = build_model(_accounts(1000), [devices], [], np.array([0]), np.array([1]), seed=1)
    assert model.shared[0].count.tolist() == [shared]
    assert model.shared[0].rarity[0] == pytest.approx(np.log2(500) + bits, abs=0.05)


def test_strangers_share_something_as_rare_as_often_as_its_bits_say_however_much_they_have() -> None:
    rng = np.random.default_rng(9)
    n = 1_500
    # Strangers with 4 or 60 phrases each, of a few that all use and thousands that hardly anybody does.
    tries = np.where(np.arange(n) % 3 == 0, 60, 4)
    liking = 1 / np.arange(1, 6_001) ** 0.8
    account = np.repeat(np.arange(n), tries)
    phrases = LayerSpec("prompt_family", "prompts", 0.4, "a family")
    sent = _incidence(phrases, account, rng.choice(len(liking), len(account), p=liking / liking.sum()))
    first, second = (ends.astype(np.int64) for ends in np.triu_indices(n, 1))
    (layer,) = build_model(_accounts(n), [sent], [], first, second, seed=1).shared
    rarity = np.zeros(len(first))
    rarity[layer.pair] = layer.rarity
    both = (tries[first] == 60).astype(np.int64) + (tries[second] == 60)
    for chance in (0.1, 0.01):
        few, some, many = ((rarity[both == much] >= -np.log2(chance)).mean() for much in range(3))
        assert 0.25 * chance < some < 1.5 * chance
        assert 0.25 * chance < many < 1.5 * chance
        assert few < 1.5 * chance, "who has little is not thought to meet anybody any less"


def _planted(seed: int, card: float, device: float) -> tuple[Model, IntArray]:
    """300 operations of 6 among 20,000 accounts; a member shares the card with chance `card`, the device likewise."""
    rng = np.random.default_rng(seed)
    n, groups, size = 20_000, 300, 6
    group = np.full(n, -1)
    group[: groups * size] = np.repeat(np.arange(groups), size)
    created = rng.integers(0, 200 * 86_400_000_000, n)
    created[group >= 0] = rng.integers(0, 200 * 86_400_000_000, groups)[group[group >= 0]]
    created += rng.integers(0, 86_400_000_000, n)
    layers = []
    for spec, rate in ((CARD, card), (DEVICE, device)):
        own = rng.integers(10**6, 10**6 + 4 * n, n)  # strangers meet by chance
        shares = (group >= 0) & (rng.random(n) < np.sqrt(rate))
        entity = np.where(shares, group, own)
        layers.append(_incidence(spec, np.arange(n), entity))
    first, second = candidate_pairs(layers, [], n, seed=1)
    return build_model(_accounts(n, created), layers, [], first, second, seed=1), group


def test_what_people_of_one_country_meet_in_makes_no_two_of_them_one_operators() -> None:
    rng = np.random.default_rng(8)
    n, small = 8_000, 400
    country = np.where(np.arange(n) < small, 1, 0)
    # Everybody of the small country is in one of its ten networks and sends one of its ten stock phrases.
    network = _incidence(NETWORK, np.arange(small), rng.integers(0, 10, small))
    phrases = LayerSpec("prompt_family", "prompts", 0.4, "a family")
    phrase = _incidence(phrases, np.arange(small), rng.integers(0, 10, small))
    rings = np.arange(small - 60, small + 60), np.repeat(np.arange(30), 4)
    layers = [network, phrase, _incidence(CARD, *rings), _incidence(DEVICE, *rings)]
    first, second = candidate_pairs(layers, [], n, seed=1)

    def standing(accounts: AccountTable) -> tuple[float, float]:
        bits = build_model(accounts, layers, [], first, second, seed=1).bits() > 0
        card = np.full(n, -1)
        card[small - 60 : small + 60] = np.repeat(np.arange(30), 4)
        mates = (card[first] == card[second]) & (card[first] >= 0)
        return float(bits[mates].mean()), float(bits[~mates].mean())

    found, wrong = standing(_accounts(n, country=country))
    assert found == 1.0
    assert wrong < 0.01
    assert standing(_accounts(n))[1] > 0.03, "without countries a language and its carriers are a ring"


def test_who_sends_a_harmful_text_does_harm_which_counts_once() -> None:
    n, bad = 2_000, 40
    phrases = LayerSpec("prompt_family", "prompts", 0.4, "a family")
    text = _incidence(phrases, np.arange(6), np.zeros(6, dtype=np.int64))
    card = _incidence(CARD, np.array([10, 11]), np.zeros(2, dtype=np.int64))
    first, second = candidate_pairs([text, card], [], n, seed=1)
    plain = _accounts(n)
    accounts = AccountTable(plain.frame.assign(harm_kind=np.where(np.arange(n) < bad, 1, -1)), harm_known=True)
    harm = Harm(np.where(np.arange(n) < bad, 8.0, -4.0), bad / n)
    model = build_model(accounts, [text, card], [], first, second, seed=1, harm=harm, without=("presence",))
    (misuse,) = (one for one in model.contrasts if one.name == "misuse")
    sent, paid = first < 6, first == 10
    beyond = model.bits() - model.prior - model.unshared_bits()
    assert misuse.bits.min() > 5, "two in fifty do harm"
    assert beyond[sent] == pytest.approx(np.maximum(model.group_bits("prompts"), misuse.bits)[sent])
    assert beyond[paid] == pytest.approx((model.group_bits("payment") + misuse.bits)[paid])
    for out in ("misuse", "prompts"):
        less = build_model(accounts, [card], [], first[paid], second[paid], seed=1, harm=harm, without=(out,))
        assert not any(one.name == "misuse" for one in less.contrasts), "a contrast goes with its group, too"


def test_who_invites_a_countryman_is_as_rare_as_that_is_in_the_country() -> None:
    n, small = 2_000, 100
    country = np.where(np.arange(n) < small, 1, 0)
    src, dst = np.arange(0, small, 2), np.arange(1, small, 2)
    invite = LayerSpec("invite", "invite", 0.1, "an invitation")
    invited = Relation(invite, np.append(src, 0), np.append(dst, 1_999), np.ones(51, dtype=np.int64))
    first, second = candidate_pairs([], [invited], n, seed=1)

    def rarity(accounts: AccountTable) -> list[float]:
        (layer,) = build_model(accounts, [], [invited], first, second, seed=1).shared
        return [float(layer.rarity[(first == 0) & (second == end)][0]) for end in (1, 1_999)]

    abroad, everywhere = rarity(_accounts(n, country=country)), rarity(_accounts(n))
    assert abroad[0] == pytest.approx(everywhere[0] + np.log2(small**2 / 50) - np.log2(n**2 / 51))
    assert abroad[1] == everywhere[1]


def test_another_country_is_bounded_as_what_operators_hide() -> None:
    country = np.array([0, 0, 1, -1])
    (habit,) = home(country)
    assert habit.band(np.array([0, 0, 0]), np.array([1, 2, 3])).tolist() == [1, 0, -1]
    band = np.array([0, 1], dtype=np.int8)
    apart = Contrast("home", "home", "", band, np.array([0.5, 0.5]), np.array([1e-6, 1.0]), ["", ""], at_will=True)
    assert apart.bits == pytest.approx([np.log2(HIDING), 1.0], abs=1e-4)
    assert replace(apart, at_will=False).bits[0] < -15
    assert home(np.full(4, -1)) == []


@pytest.mark.parametrize(("card", "device"), [(0.7, 0.3), (0.35, 0.6)])
def test_em_recovers_how_often_one_operators_accounts_share(card: float, device: float) -> None:
    model, group = _planted(1, card, device)
    learnt = {layer.name: layer.m for layer in model.shared}
    assert learnt["payment"] == pytest.approx(card, abs=0.15)
    assert learnt["device"] == pytest.approx(device, abs=0.15)
    mates = (group[model.first] >= 0) & (group[model.first] == group[model.second])
    found = probability(model.bits()) > 0.5
    assert found[mates].mean() > 0.95
    assert found[~mates].mean() < 0.05


def test_an_entity_is_worth_more_among_those_who_are_alike_otherwise() -> None:
    model, group = _planted(2, 0.7, 0.5)
    layer = model.shared[0]
    mates = (group[model.first] >= 0) & (group[model.first] == group[model.second])
    assert np.median(layer.gain[mates[layer.pair]]) > np.median(layer.gain[~mates[layer.pair]]) + 2


# -- candidate pairs -------------------------------------------------------------------------------------------------


def _in_groups(first: int, groups: int, size: int) -> tuple[IntArray, IntArray]:
    """Accounts from `first` on, and the number of the group of each."""
    return first + np.arange(groups * size), np.repeat(np.arange(groups), size)


def test_who_hides_all_but_a_template_is_found_beside_stock_phrases() -> None:
    rng = np.random.default_rng(5)
    n = 6000
    hiding, of_hiding = _in_groups(0, 8, 6)
    open_, of_open = _in_groups(48, 16, 6)
    quoting = rng.choice(np.arange(144, n), (400, 6), replace=False)
    prompts = _incidence(
        LayerSpec("prompt_family", "prompts", 0.4, "a family"),
        np.concatenate([hiding, open_, quoting.ravel()]),
        np.concatenate([of_hiding, 8 + of_open, 24 + np.repeat(np.arange(400), 6)]),
    )
    prompts = replace(prompts, grade=np.where(prompts.code < 24, 3, 0))
    cards = _incidence(CARD, np.arange(n), np.r_[np.arange(48), 10**6 + of_open, 1000 + np.arange(144, n)])
    first, second = candidate_pairs([prompts, cards], [], n, seed=1)
    model = build_model(_accounts(n), [prompts, cards], [], first, second, seed=1)
    bits = model.bits()
    assert (bits[second < 48] > 0).mean() > 0.95
    assert (bits[first >= 144] > 0).mean() < 0.05


def test_who_works_with_a_text_is_told_from_who_quotes_it_once() -> None:
    rng = np.random.default_rng(7)
    n = 6000
    hiding, of_hiding = _in_groups(0, 8, 6)
    open_, of_open = _in_groups(48, 16, 6)
    passing, of_passing = _in_groups(144, 8, 12)
    quoting = rng.choice(np.arange(240, n), (400, 6), replace=False)
    prompts = _incidence(
        LayerSpec("prompt_family", "prompts", 0.4, "a family"),
        np.concatenate([hiding, open_, passing, quoting.ravel()]),
        np.concatenate([of_hiding, 8 + of_open, of_passing, 24 + np.repeat(np.arange(400), 6)]),
    )
    times = np.where(prompts.account < 144, 20, 1)
    prompts = replace(prompts, grade=np.where(prompts.code < 24, 3, 0), count=times)
    cards = _incidence(CARD, np.arange(n), np.r_[np.arange(48), 10**6 + of_open, 1000 + np.arange(144, n)])
    first, second = candidate_pairs([prompts, cards], [], n, seed=1)

    model, without = (
        build_model(_accounts(n), [prompts, cards], [], first, second, seed=1, without=out) for out in ((), ("use",))
    )
    told, plain = model.bits(), without.bits()
    working, once = second < 48, (first < 48) & (second >= 144)
    assert told[working].min() > told[once].max() + 2
    assert (told[working] > plain[working] + 1).all()
    assert (told[once] < plain[once]).all()
    (use,) = (one for one in model.contrasts if one.group == "use")
    at = np.flatnonzero(working)[:3]
    assert [use.bands[band] for band in use.band[at]] == ["at least 16 times each"] * 3
    assert (use.band[np.flatnonzero(once)] == 0).all()


@pytest.mark.parametrize(("grade", "stands"), [(1, False), (3, True)])
def test_strangers_of_one_loop_are_no_operator_where_companies_have_loops_as_long(grade: int, stands: bool) -> None:
    rng = np.random.default_rng(6)
    n = 6000
    companies, of_company = _in_groups(0, 6, 16)
    strangers = rng.choice(np.arange(len(companies), n), 16, replace=False)
    loops = _incidence(
        LayerSpec("tool_chain", "tools", 0.4, "a loop"),
        np.concatenate([companies, strangers]), np.append(of_company, np.full(16, 6)),
    )  # fmt: skip
    loops = replace(loops, grade=np.full(len(loops.code), grade))
    own = np.concatenate([companies, np.arange(len(companies), n)])
    cards = _incidence(CARD, own, np.concatenate([of_company, 1000 + np.arange(len(companies), n)]))
    first, second = candidate_pairs([loops, cards], [], n, seed=1)
    bits = build_model(_accounts(n), [loops, cards], [], first, second, seed=1).bits()
    assert (bits[first < len(companies)] > 0).all()
    assert (bits[first >= len(companies)] > 0).mean() == stands


def test_strangers_who_work_on_one_thing_ask_and_call_alike_and_are_no_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(7)
    n, topics, of_topic, each = 4000, 25, 40, 3
    account = np.repeat(np.arange(n), each)
    topic = account % topics
    shared = [
        _incidence(spec, account, topic * of_topic + rng.integers(0, of_topic, len(account)))
        for spec in (
            LayerSpec("prompt_family", "prompts", 0.4, "a family"),
            LayerSpec("tool_target", "tools", 0.4, "a target"),
        )
    ]
    first, second = candidate_pairs(shared, [], n, seed=1)

    def stand() -> tuple[float, float]:
        model = build_model(_accounts(n), shared, [], first, second, seed=1)
        return float((model.bits() > 0).sum() / n), model.prior

    apart, prior = stand()
    monkeypatch.setattr("ringwatch.graphs.learning.FOLLOW", {})
    vouching, higher = stand()
    assert apart < 0.1 * vouching
    assert prior < higher


def test_an_empty_band_says_nothing_where_none_was_expected() -> None:
    n = 4000
    mates, group = _in_groups(0, 100, 5)
    cards = _incidence(CARD, mates, group)
    devices = _incidence(DEVICE, mates, group)
    first, second = candidate_pairs([cards, devices], [], n, seed=1)
    created = np.where(np.arange(n) < 3998, 10**12 * (1 + np.arange(n) % 7), 0)
    model = build_model(_accounts(n, created), [cards, devices], [], first, second, seed=1)
    signup = next(one for one in model.contrasts if one.name == "signup")
    rare = signup.u < 0.1 / len(first)
    assert rare.any()
    assert np.abs(np.log2(signup.m / signup.u))[rare].max() < 0.5


def test_small_entities_give_all_their_pairs_and_relations_theirs() -> None:
    incidence = _incidence(CARD, np.array([4, 1, 3, 0]), np.array([5, 5, 5, 6]))
    relation = Relation(CARD, np.array([9]), np.array([2]), np.array([1]))
    first, second = candidate_pairs([incidence], [relation], 10, seed=1)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 3), (1, 4), (2, 9), (3, 4)]


@pytest.mark.parametrize("crowd", [20_000, 100_000])
def test_a_hub_is_linear(crowd: int) -> None:
    nat = _incidence(ADDRESS, np.arange(crowd), np.zeros(crowd, dtype=np.int64))
    first, second = candidate_pairs([nat], [], crowd, seed=1)
    assert (first < second).all()
    assert len(first) <= crowd * LATTICE
    assert np.bincount(np.r_[first, second], minlength=crowd).min() >= 1


def test_two_hubs_meet_and_stay_linear() -> None:
    crowd = 20_000
    rng = np.random.default_rng(1)
    nat = _incidence(ADDRESS, np.arange(crowd), np.zeros(crowd, dtype=np.int64))
    course = _incidence(DEVICE, np.arange(crowd), rng.integers(0, 100, crowd))
    first, _ = candidate_pairs([nat, course], [], crowd, seed=1)
    assert len(first) <= crowd * LATTICE * (2 + CONJUNCTIONS)


def test_a_bound_on_pairs_turns_the_largest_entities_into_hubs() -> None:
    groups, size = 200, ALL_PAIRS
    incidence = _incidence(CARD, np.arange(groups * size), np.repeat(np.arange(groups), size))
    n = groups * size
    everything = groups * size * (size - 1) // 2
    assert len(candidate_pairs([incidence], [], n, seed=1)[0]) == everything
    bounded_ = len(candidate_pairs([incidence], [], n, seed=1, max_pairs=everything // 4)[0])
    assert bounded_ <= n * LATTICE
    assert bounded_ > n


def test_nothing_shared_is_no_pair() -> None:
    model = build_model(_accounts(5), [], [], *candidate_pairs([], [], 5, seed=1), seed=1)
    assert len(model) == 0
    assert len(model.bits()) == 0


def test_em_looks_at_each_way_of_sharing_nothing_once_and_at_every_pair_the_same() -> None:
    rng = np.random.default_rng(8)
    n, pairs = 300, 900
    first = rng.integers(0, n - 1, pairs)
    second = first + 1 + rng.integers(0, n - 1 - first)
    of = {"card": rng.random(pairs) < 0.3, "device": rng.random(pairs) < 0.2}
    layers = [
        _layer(name, name, np.flatnonzero(hit).tolist(), [6.0] * int(hit.sum()), 0.4) for name, hit in of.items()
    ]
    ends = {name: np.where(hit, 2, rng.integers(0, 3, pairs)).astype(np.int8) for name, hit in of.items()}
    words = ["neither", "one", "both"]
    presence = {
        name: Contrast(
            f"{name}_presence", name, name, band, np.array([0.3, 0.4, 0.3]), np.array([0.4, 0.2, 0.4]), words
        )
        for name, band in ends.items()
    }
    model = Model(n, first, second, layers, [], {name: band == 2 for name, band in ends.items()}, -5.0, presence)
    few, of_pair = _patterns(model, {name: hit.astype(np.int8) for name, hit in of.items()})
    assert len(few) == 16, "neither, one, both, or something shared; in either group"
    assert few.unshared_bits()[of_pair] == pytest.approx(model.unshared_bits())
    assert model.bits(model.unshared_bits()) == pytest.approx(model.bits())
