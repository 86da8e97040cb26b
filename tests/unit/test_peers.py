"""What peers make of a log: who is joined, by how much, what is left out, which cluster comes first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import log2
from typing import Any

import duckdb
import pandas as pd
import pytest

from ringwatch.evaluation import peers
from ringwatch.graphs import collect_accounts
from ringwatch.ingest import EventLog

PEERS = ["connected components", "Louvain", "Leiden", "label propagation"]
CROWD = [f"crowd{i:03d}" for i in range(peers.HUB - 1)]
FIELDS = ("ip", "device_id", "payment_id", "harm", "refused")


def _events() -> Iterator[dict[str, Any]]:
    """Two rings of four on one card each, with a device for each half; b does harm.

    The first of each ring also uses an exit that is known, and the address of a crowd.
    """
    for ring, harm in (("a", None), ("b", "fraud")):
        for i in range(4):
            yield {"account_id": f"{ring}{i}", "payment_id": f"tok_{ring}", "device_id": f"dev-{ring}{i // 2}"}
            yield {"account_id": f"{ring}{i}", "harm": harm, "refused": False}
        yield {"account_id": f"{ring}0", "ip": "198.51.100.7"}
        yield {"account_id": f"{ring}0", "ip": "203.0.113.9"}
    for account in CROWD:
        yield {"account_id": account, "ip": "203.0.113.9"}


@pytest.fixture
def con(ingester: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    events = [
        {"event_id": f"e{number}", "ts": "2026-03-01T10:00:00Z", "kind": "chat", "account_id": row["account_id"]}
        | {name: row.get(name) for name in FIELDS}
        for number, row in enumerate(_events())
    ]
    tables = {
        "events": events,
        "accounts": [{"account_id": f"m{i}", "email": "one@mail.example"} for i in range(3)],
        "relations": [{"src_account_id": src, "dst_account_id": "a3", "kind": "referral"} for src in ("a0", "a3")],
        "entities": [{"entity_type": "ip", "entity_id": "198.51.100.7", "kind": "vpn"}],
    }
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.drop(tables, "parquet"))
    with duckdb.connect() as con:
        EventLog(workspace, workspace.current()).attach(con)
        yield con


def test_weights_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    names = collect_accounts(con).ids
    nodes, pairs, weight = peers._edges(con)
    found = {(names[nodes[a]], names[nodes[b]]): w for (a, b), w in zip(pairs, weight, strict=True)}
    four, three, two = (1 / log2(1 + k) for k in (4, 3, 2))
    expected = {pair: four for ring in "ab" for pair in combinations([f"{ring}{i}" for i in range(4)], 2)}
    for ring in "ab":
        expected[f"{ring}0", f"{ring}1"] += two
        expected[f"{ring}2", f"{ring}3"] += two
    expected["a0", "a3"] += 1
    expected |= dict.fromkeys(combinations(["m0", "m1", "m2"], 2), three)
    assert found == pytest.approx(expected, abs=1e-8), "the crowd and the known exit join nobody"


def test_peers_find_the_rings_and_rank_them_by_harm(con: duckdb.DuckDBPyConnection) -> None:
    found = {
        name: members.groupby("cluster_id")["account_id"].agg("".join).tolist()
        for name, members in peers.communities(con, seed=1)
    }
    assert list(found) == PEERS
    for name in PEERS[:3]:
        assert found[name] == ["b0b1b2b3", "m0m1m2", "a0a1a2a3"], name
    assert set(found[PEERS[3]]) <= {"b0b1b2b3", "m0m1m2", "a0a1a2a3"}, "a ring may fall into its halves"


def test_the_same_seed_gives_the_same_clusters(con: duckdb.DuckDBPyConnection) -> None:
    for (_, one), (_, other) in zip(peers.communities(con, seed=3), peers.communities(con, seed=3), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_log_of_strangers_has_no_clusters() -> None:
    with duckdb.connect() as con:
        con.execute(
            """
            CREATE TABLE ix AS SELECT 'a' AS account_id, 0 AS i;
            CREATE TABLE ev AS SELECT 0 AS i, 1 AS ip, 2 AS device, 3 AS payment;
            CREATE TABLE accounts AS SELECT 'a' AS account_id, 1 AS email, 2 AS phone;
            CREATE TABLE links (account_id VARCHAR, entity_type VARCHAR, entity BIGINT);
            CREATE TABLE entities (entity_type VARCHAR, entity BIGINT);
            CREATE TABLE relations (src_account_id VARCHAR, dst_account_id VARCHAR)
            """
        )
        nodes, pairs, weight = peers._edges(con)
    assert (nodes.shape, pairs.shape, weight.shape) == ((0,), (0, 2), (0,))
