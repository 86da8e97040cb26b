"""What speaks for people is learnt from clusters, only ever lowers abuse, and not without bound."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pytest

from ringwatch.graphs.accounts import AccountTable, BoolArray, IntArray
from ringwatch.graphs.layers import ENTITY_LAYERS, PROMPT_FAMILY, Incidence, LayerSpec, incidence_from
from ringwatch.graphs.standing import BOUGHT, LEAST_PROMPTS, STANDING, Standing, collect_standing, speak_for_people
from ringwatch.ingest.contract import TOKENS_LOG

DAY = 86_400_000_000


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def _clusters(seed: int, honest: float, abusive: float) -> tuple[BoolArray, np.ndarray, IntArray, int]:
    """60 honest and 20 abusive clusters of six, and the chance that a member of either has the thing."""
    rng = np.random.default_rng(seed)
    count, size = 80, 6
    cluster = np.r_[np.repeat(np.arange(count), size), np.full(100, -1)]
    abuse = np.r_[np.full(60, 0.02), np.full(20, 0.98)]
    rate = np.r_[np.repeat(np.where(abuse > 0.5, abusive, honest), size), np.full(100, 0.5)]
    return rng.random(len(cluster)) < rate, abuse, cluster, count


def test_what_honest_clusters_have_and_abusive_ones_lack_lowers_abuse() -> None:
    has, abuse, cluster, count = _clusters(1, 0.8, 0.1)
    bits, reasons = speak_for_people([Standing("old_accounts", "are old", has)], abuse, cluster, count)
    share = np.bincount(cluster[cluster >= 0], has[cluster >= 0]) / 6
    assert bits[share == share.max()].max() < -0.8
    assert (bits[share < 0.2] == 0).all(), "to lack it says nothing of abuse"
    assert (bits >= np.log2(BOUGHT)).all()
    told = np.zeros(count)
    told[reasons["cluster"]] = reasons["bits"]
    assert told == pytest.approx(bits, abs=0.05), "what is told is what was added"
    assert reasons["against"].all()
    text = reasons["text"].iloc[0]
    assert text.startswith(f"{reasons['accounts'].iloc[0]} of 6 members are old, as ")
    assert f"({reasons['bits'].iloc[0]:+.1f} bits for abuse)." in text


@pytest.mark.parametrize(("honest", "abusive"), [(0.2, 0.7), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_what_abusive_clusters_have_as_often_says_nothing(honest: float, abusive: float) -> None:
    has, abuse, cluster, count = _clusters(2, honest, abusive)
    bits, _ = speak_for_people([Standing("own_payment", "pay", has)], abuse, cluster, count)
    assert bits == pytest.approx(0, abs=0.1)


def test_many_things_together_are_bounded() -> None:
    parts = [_clusters(seed, 0.95, 0.02) for seed in range(6)]
    _, abuse, cluster, count = parts[0]
    standing = [Standing(f"thing{k}", "have it", part[0]) for k, part in enumerate(parts)]
    bits, reasons = speak_for_people(standing, abuse, cluster, count)
    assert np.log2(BOUGHT) <= bits.min() < np.log2(BOUGHT) + 0.1
    told = reasons.groupby("cluster")["bits"].sum()
    assert told.to_numpy() == pytest.approx(bits[told.index], abs=0.3), "the parts add up to what is left of them"


def test_nobody_in_a_cluster_is_no_fault() -> None:
    bits, reasons = speak_for_people([Standing("x", "x", np.ones(3, dtype=np.bool_))], np.zeros(0), np.full(3, -1), 0)
    assert len(bits) == len(reasons) == 0


def _incidence(spec: LayerSpec, rows: list[tuple[int, int, int, int]]) -> Incidence:
    i, entity, n, last = np.array(rows).T
    columns = {"i": i, "entity": entity, "n": n, "first": np.zeros(len(i)), "last": last * float(DAY)}
    return incidence_from(spec, columns)


def test_who_has_standing(con: duckdb.DuckDBPyConnection) -> None:
    n = 1000
    created = np.full(n, 395.0 * DAY)
    created[:10] = 100.0 * DAY
    accounts = AccountTable(
        pd.DataFrame(
            {
                "account_id": [f"a{i:06d}" for i in range(n)], "created_at": created,
                "last_seen": np.full(n, 400.0 * DAY),
            }
        ),
        harm_known=True,
    )  # fmt: skip
    cards = _incidence(ENTITY_LAYERS["payment"], [(20, 1, 5, 40), (21, 2, 5, 10), (22, 3, 5, 90), (23, 3, 5, 90)])
    families = _incidence(PROMPT_FAMILY, [(31, 1, LEAST_PROMPTS, 1), (32, 1, 1, 1), (33, 1, 1, 1)])
    prompts = np.repeat([30, 31, 32, 33], [LEAST_PROMPTS, LEAST_PROMPTS, LEAST_PROMPTS, LEAST_PROMPTS - 1])
    con.register("sent", pd.DataFrame({"i": prompts, "prompt": np.arange(len(prompts))}))
    domain = np.full(n, "provider.example", dtype=object)
    domain[4:12] = "old.example"  # six of its eight are old
    domain[40:48] = "new.example"
    domain[48:60] = "thrown.example"
    domain[:4] = "thrown.example"
    tokens = pd.DataFrame(
        {"entity_type": "email", "entity": np.arange(n), "parent": domain, "disposable": domain == "thrown.example"}
    )
    con.register("known", tokens)
    con.execute(
        f"""CREATE TABLE ev AS SELECT * FROM sent;
            CREATE TABLE ix AS SELECT range AS i, format('a{{:06d}}', range) AS account_id FROM range({n});
            CREATE TABLE accounts AS SELECT account_id, i AS email FROM ix;
            CREATE TABLE tokens ({", ".join(f"{name} {kind}" for name, kind in TOKENS_LOG.items())});
            INSERT INTO tokens BY NAME SELECT * FROM known"""
    )
    found = {
        one.layer: np.flatnonzero(one.has).tolist() for one in collect_standing(con, accounts, [cards, families])
    }
    assert list(found) == list(STANDING)
    assert found["old_accounts"] == list(range(10))
    assert found["own_payment"] == [20], "a month with a card of one's own"
    assert found["diverse_prompts"] == [30, 32]
    assert found["company_domain"] == list(range(4, 12)), "neither a provider, nor new, nor thrown away"
