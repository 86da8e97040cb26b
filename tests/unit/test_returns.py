"""Operators who are back are known by a takedown, or by what ties a new cluster to one that ended."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import AccountTable
from ringwatch.graphs.clusters import Found
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.layers import Incidence, LayerSpec, incidence_from
from ringwatch.graphs.lineage import trace
from ringwatch.graphs.naming import NO_HISTORY, History
from ringwatch.graphs.returns import find_returns
from ringwatch.graphs.ties import Ties

DAY = 86_400_000_000
CARD = LayerSpec("payment", "payment", 0.4, "a payment instrument")
NO_TIES = pd.DataFrame({"first": [], "second": [], "bits": []})
LONERS = 300


class Case:
    """Clusters now and before; days of sign-up and of suspension by account (everybody else: day 0, never)."""

    def __init__(self, now: dict[str, list[str]], before: dict[str, list[str]], past: dict[str, list[str]]) -> None:
        self.now = _frame(now)
        self.history = History("r1", _frame(before), _frame(past).assign(run_id="r0"))
        everybody = {*self.now["account_id"], *self.history.members["account_id"], *self.history.past["account_id"]}
        self.ids = sorted(everybody | {f"zz{i:03d}" for i in range(LONERS)})
        self.created: dict[str, int] = {}
        self.suspended: dict[str, int] = {}
        self.cards: list[tuple[str, int]] = []
        self.tied: list[tuple[str, str, float]] = []

    def status(self, *, use_labels: bool = True) -> dict[str, str]:
        found = self.found(use_labels=use_labels)
        return dict(zip(found.clusters["cluster_id"], found.clusters["status"], strict=True))

    def found(self, *, use_labels: bool = True) -> Found:
        names = sorted(self.now["id"].unique())
        members = self.now.rename(columns={"id": "cluster_id"})
        before = Found(
            pd.DataFrame({"cluster_id": names, "status": "?"}), members, members, members,
            trace(self.now, self.history),
        )  # fmt: skip
        created = np.array([self.created.get(name, 0) * DAY for name in self.ids], dtype=np.float64)
        accounts = AccountTable(pd.DataFrame({"account_id": self.ids, "created_at": created}), harm_known=False)
        place = {name: number for number, name in enumerate(names)}
        pairs = [(*sorted((place[a], place[b])), bits) for a, b, bits in self.tied]
        ties = Ties(-8.0, pd.DataFrame(pairs, columns=["first", "second", "bits"]) if pairs else NO_TIES, NO_TIES, {})
        nothing = np.zeros(0, dtype=np.int64)
        model = Model(len(self.ids), nothing, nothing, [], [], {}, -10.0)
        return find_returns(
            self._log(), before, self.history, accounts, [self._cards()], ties, model, np.zeros(0),
            use_labels=use_labels,
        )  # fmt: skip

    def _cards(self) -> Incidence:
        own = [(number, 1000 + number) for number in range(len(self.ids))]
        rows = sorted({*own, *((self.ids.index(name), card) for name, card in self.cards)})
        account, entity = (np.array([row[side] for row in rows], dtype=np.int64) for side in (0, 1))
        n, never = np.ones(len(rows), dtype=np.int64), np.full(len(rows), np.nan)
        return incidence_from(CARD, {"i": account, "entity": entity, "n": n, "first": never, "last": never})

    def _log(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect()
        down = [(name, self.suspended.get(name)) for name in self.ids]
        frame = pd.DataFrame(down, columns=["account_id", "day"])
        frame["status"] = np.where(frame["day"].notna(), "suspended", "active")
        frame["updated_at"] = pd.to_datetime(frame["day"] * DAY, unit="us", utc=True)
        frame["created_at"] = pd.Timestamp(0, tz="UTC")
        con.register("frame", frame)
        con.execute("CREATE TABLE accounts AS SELECT account_id, status, created_at, updated_at FROM frame")
        con.execute(
            "CREATE TABLE ix AS SELECT account_id, row_number() OVER (ORDER BY account_id) - 1 AS i FROM frame"
        )
        return con


def _frame(groups: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(name, account) for name, members in groups.items() for account in members]
    return pd.DataFrame(rows, columns=["id", "account_id"]).astype("str")


def _people(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


OLD, NEW = _people("a", 6), _people("n", 4)


def _grown(*, suspended: int, day: int = 10, joined: int = 20) -> Case:
    case = Case({"c1": [*OLD, *NEW]}, {"c1": OLD}, {})
    case.suspended = dict.fromkeys(OLD[:suspended], day)
    case.created = dict.fromkeys(NEW, joined)
    return case


def test_new_members_after_most_were_suspended_are_a_return() -> None:
    assert _grown(suspended=5).status() == {"c1": "returned"}
    row = _grown(suspended=5).found().lineage.iloc[0]
    assert (row["from_cluster_id"], row["kind"], row["shared"], row["size"]) == ("c1", "returned", 6, 10)


def test_growth_is_no_return_without_a_takedown_before_it_or_without_looking_at_status() -> None:
    assert _grown(suspended=3).status() == {"c1": "grew"}
    assert _grown(suspended=5, day=30).status() == {"c1": "grew"}, "they signed up before it"
    assert _grown(suspended=5).status(use_labels=False) == {"c1": "grew"}


def test_two_who_join_are_no_operation_and_neither_are_those_suspended_with_it() -> None:
    few = Case({"c1": [*OLD, *NEW[:2]]}, {"c1": OLD}, {})
    few.suspended, few.created = dict.fromkeys(OLD, 10), dict.fromkeys(NEW, 20)
    assert few.status() == {"c1": "grew"}
    case = _grown(suspended=6)
    case.suspended |= dict.fromkeys(NEW, 21)
    assert case.status() == {"c1": "grew"}


def test_a_new_cluster_tied_to_one_that_was_taken_down_is_a_return() -> None:
    case = Case({"c1": OLD, "c2": NEW}, {"c1": OLD}, {})
    case.tied = [("c1", "c2", 2.0)]
    assert case.status() == {"c1": "known", "c2": "new"}
    case.suspended = dict.fromkeys(OLD[:4], 10)
    assert case.status() == {"c1": "known", "c2": "returned"}
    row = case.found().lineage.set_index("cluster_id").loc["c2"]
    assert (row["from_cluster_id"], row["shared"], row["before"]) == ("c1", 0, 6)
    case.tied = [("c1", "c2", -2.0)]
    assert case.status()["c2"] == "new"


def test_a_new_cluster_that_has_the_card_of_one_that_ended_is_a_return() -> None:
    for before, past in (({"c1": OLD}, {}), ({}, {"c1": OLD})):
        case = Case({"c2": NEW}, before, past)
        assert case.status() == {"c2": "new"}
        case.cards = [(name, 1) for name in (*OLD, NEW[0])]
        assert case.status() == {"c2": "returned"}
        assert case.found().lineage.set_index("cluster_id").loc["c2", "from_cluster_id"] == "c1"
        case.cards += [(f"zz{i:03d}", 1) for i in range(200)]
        assert case.status() == {"c2": "new"}, "what everybody has says nothing"


def test_without_a_history_nobody_is_back() -> None:
    case = Case({"c1": OLD}, {}, {})
    case.history = NO_HISTORY
    case.suspended = dict.fromkeys(OLD, 1)
    assert set(case.found().lineage["kind"]) == {"new"}
