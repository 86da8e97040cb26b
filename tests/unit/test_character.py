"""What harm is seen at teaches what such clusters are like; nobody teaches about oneself, and likeness is bounded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ringwatch.graphs.abuse import Harm
from ringwatch.graphs.accounts import DAY, AccountTable, BoolArray, FloatArray
from ringwatch.graphs.character import (
    CHARACTER,
    LEAST_CLUSTERS,
    LEAST_TOLD,
    MOST,
    Trait,
    cluster_traits,
    likeness,
)
from ringwatch.graphs.clusters import BESIDES, Formed, weigh_besides
from ringwatch.graphs.evidence import Model, Shared
from ringwatch.graphs.standing import Standing
from ringwatch.graphs.teams import SIGNS


def _world(seed: int, seen: float, count: int = 200) -> tuple[list[Trait], FloatArray, BoolArray]:
    """A fifth of the clusters is abusive, large and made in one week; harm is `seen` at that share of these."""
    rng = np.random.default_rng(seed)
    bad = np.arange(count) < count // 5
    size = np.where(bad, rng.integers(6, 20, count), rng.integers(3, 8, count)).astype(np.float64)
    over = np.where(bad, rng.uniform(0, 7, count), rng.uniform(0, 200, count))
    abuse = np.where(bad & (rng.random(count) < seen), 0.95, 0.05)
    noise = rng.normal(size=count)
    traits = [
        Trait("size", np.log2(size), size),
        Trait("made_over", np.log1p(over), over),
        Trait("activity", noise, noise),
    ]
    return traits, abuse, bad


def test_those_that_harm_is_not_seen_at_are_told_from_honest_ones() -> None:
    traits, abuse, bad = _world(1, seen=0.5)
    bits, reasons = likeness(traits, abuse)
    unseen = bad & (abuse < 0.5)
    assert bits[unseen].mean() > bits[~bad].mean() + 2
    assert np.abs(bits).max() <= MOST
    assert set(reasons["layer"]) <= set(CHARACTER)
    assert (reasons["bits"].abs() >= LEAST_TOLD).all()
    assert (reasons["against"] == (reasons["bits"] < 0)).all()
    told = reasons.groupby("cluster")["bits"].sum()
    assert told.to_numpy() == pytest.approx(bits[told.index], abs=3 * LEAST_TOLD), "what is told is what was added"
    text = reasons.loc[reasons["layer"] == "size", "text"].iloc[0]
    assert text.startswith("It has ")
    assert text.endswith(" bits for abuse).")


def test_a_cluster_teaches_nothing_about_itself() -> None:
    traits, abuse, _ = _world(2, seen=0.5)
    odd = np.zeros(len(abuse))
    odd[7] = 1.0
    traits = [*traits, Trait("one_customer", odd, odd)]
    for mine in (0.0, 1.0):
        said = abuse.copy()
        said[7] = mine
        parts = likeness([traits[-1]], said)[0]
        assert abs(parts[7]) < 0.2, "what only this cluster has says nothing, whatever is known of it"


def test_where_harm_goes_with_nothing_likeness_says_little() -> None:
    rng = np.random.default_rng(3)
    traits, _, _ = _world(3, seen=0.5)
    bits, _ = likeness(traits, rng.permutation(np.where(np.arange(200) < 20, 0.95, 0.05)))
    assert np.abs(bits).mean() < 0.5


def test_few_clusters_or_no_traits_say_nothing() -> None:
    traits, abuse, _ = _world(4, seen=0.5, count=LEAST_CLUSTERS - 1)
    for bits, reasons in (likeness(traits, abuse), likeness([], np.full(100, 0.5)), likeness([], np.zeros(0))):
        assert not bits.any()
        assert reasons.empty


def test_traits_by_hand() -> None:
    now = 400 * DAY
    created = now - np.array([10, 20, 30, 100, 200, 300, 5, np.nan]) * DAY
    accounts = AccountTable(
        pd.DataFrame(
            {
                "account_id": [f"a{k}" for k in range(8)], "created_at": created, "last_seen": now,
                "events": [1, 2, 9, 4, 4, 4, 50, 50], "org": [3, 3, -1, -1, -1, -1, 1, 2],
            }
        ),
        harm_known=True,
    )  # fmt: skip
    cluster = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    one, none = np.ones(1, dtype=np.int64), np.zeros(1)
    cards = Shared(
        "payment", "payment", "a card", np.array([0]), np.array([9.0]), one, np.array([0]), 0.5, none,
        np.array([2]), np.zeros(1, dtype=np.bool_),
    )  # fmt: skip
    both = {"payment": np.ones(4, dtype=np.bool_)}
    model = Model(8, np.array([0, 1, 3, 4]), np.array([1, 2, 4, 5]), [cards], [], both, -10.0)
    found = {one.layer: one.shown.tolist() for one in cluster_traits(accounts, model, np.arange(4), cluster, 2)}
    assert "size" not in found, "both are of three"
    assert found["account_age"] == pytest.approx([20, 200])
    assert found["made_over"] == pytest.approx([16, 160])
    assert found["activity"] == [2, 4]
    assert found["one_customer"] == pytest.approx([2 / 3, 0])
    assert found["held_by_payment"] == pytest.approx([8 / 2, 0]), "one of two pairs shares a card worth 9 - 1 bits"
    assert cluster_traits(accounts, model, np.arange(0), np.full(8, -1), 0) == []


def test_likeness_and_standing_can_be_left_out_each_by_itself() -> None:
    rng = np.random.default_rng(5)
    count, each = 60, 4
    cluster = np.repeat(np.arange(count), each)
    bad = cluster < count // 4
    now, n = 400 * DAY, len(cluster)
    created = now - np.where(bad, rng.uniform(1, 9, n), rng.uniform(50, 300, n)) * DAY
    ids = [f"a{k:03}" for k in range(n)]
    wording = np.where(bad, 0.2, 0.01) * rng.uniform(0.5, 2, n)
    frame = pd.DataFrame(
        {
            "account_id": ids,
            "created_at": created,
            "last_seen": now,
            "events": rng.integers(1, 500, n),
            "org": -1,
            "country": cluster % 7,
            "wording": wording,
        }
    )
    accounts = AccountTable(frame, harm_known=True)
    # Harm is seen at every other abusive cluster.
    harm = Harm(np.where(bad & (cluster % 2 == 0), 8.0, -1.0), 0.1)
    model = Model(n, np.arange(n - 1), np.arange(1, n), [], [], {}, 0.0)
    inside, one = np.flatnonzero(cluster[:-1] == cluster[1:]), np.ones(count)
    formed = Formed(cluster, np.ones(n), np.full(count, each), one, inside, 0 * one, 0 * one)
    standing = [Standing("old_accounts", "are old", ~bad & (rng.random(n) < 0.9))]

    def said(*without: str, teams: bool = False) -> tuple[FloatArray, set[str]]:
        out = without if teams else (*without, "teams")
        found = weigh_besides(formed, accounts, model, harm, standing, out)
        return found.besides, set(found.spoken["layer"]) if len(found.spoken) else set()

    every, layers = said()
    alike, likened = said("standing", "wording")
    people, spoken = said("likeness", "wording")
    wrote, written = said("likeness", "standing")
    _, when = said("likeness", "standing", "wording", teams=True)
    assert when == {*SIGNS}
    assert likened and likened <= set(CHARACTER) and spoken == {"old_accounts"} and written == {"wording"}
    assert layers == likened | spoken | written
    assert min(np.abs(one).max() for one in (people, alike, wrote)) > 0.5
    assert every == pytest.approx(people + alike + wrote)
    assert said("old_accounts")[0] == pytest.approx(alike + wrote), "by the name of a layer, too"
    nothing, silent = said(*BESIDES)
    assert not nothing.any() and not silent
