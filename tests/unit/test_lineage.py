"""What becomes of clusters from run to run: every kind of event by hand, and what holds for any sequence of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.graphs.lineage import ENDED, KINDS, Difference, difference, statuses, trace, with_returns
from ringwatch.graphs.naming import CLUSTER, NO_HISTORY, SYNDICATE, History, name_groups

Groups = list[str]
"""Clusters as strings, a letter an account."""


def _frame(groups: dict[str, str]) -> pd.DataFrame:
    rows = [(name, account) for name, members in groups.items() for account in members]
    return pd.DataFrame(rows, columns=["id", "account_id"]).astype("str")


class Runs:
    """Runs that follow each other, as `detect` makes them."""

    def __init__(self) -> None:
        self.history = NO_HISTORY
        self.number = 0
        self.lineage = trace(_frame({}), NO_HISTORY)

    def run(self, *groups: str) -> dict[str, str]:
        """The id of each group."""
        ordered = ["".join(sorted(members)) for members in groups]
        number = np.repeat(np.arange(len(ordered)), [len(members) for members in ordered]).astype(np.int64)
        account = np.array([account for members in ordered for account in members], dtype=object)
        ids = name_groups(CLUSTER, number, account, len(ordered), self.history)
        members = pd.DataFrame({"id": ids[number], "account_id": account}).astype("str")
        self.lineage = trace(members, self.history)
        self.number += 1
        self.history = History(f"r{self.number}", members, self.history.remember(members))
        return dict(zip(groups, ids.tolist(), strict=True))

    @property
    def status(self) -> dict[str, str]:
        return {str(cluster): str(word) for cluster, word in statuses(self.lineage).items()}

    def rows(self) -> set[tuple[str | None, str | None, str, int]]:
        return {
            (_none(row.cluster_id), _none(row.from_cluster_id), str(row.kind), int(str(row.shared)))
            for row in self.lineage.itertuples()
        }


def _none(value: object) -> str | None:
    return None if pd.isna(value) else str(value)  # type: ignore[call-overload]


def test_the_first_run_is_all_new() -> None:
    runs = Runs()
    ids = runs.run("abc", "def")
    assert len(set(ids.values())) == 2
    assert runs.rows() == {(ids["abc"], None, "new", 0), (ids["def"], None, "new", 0)}


def test_what_stays_is_known_and_what_gains_or_loses_members_keeps_its_id() -> None:
    runs = Runs()
    before = runs.run("abcd", "efgh", "ijklm")
    after = runs.run("abcd", "efghxyz123456", "ij")
    assert list(after.values()) == list(before.values())
    assert [runs.status[name] for name in after.values()] == ["known", "grew", "shrank"]
    assert {row[3] for row in runs.rows()} == {4, 2}


def test_as_many_members_that_are_not_the_same_are_still_known() -> None:
    runs = Runs()
    (before,) = runs.run("abcde").values()
    (after,) = runs.run("abcdx").values()
    assert (after, runs.status) == (before, {before: "known"})


def test_a_merger_keeps_the_id_of_the_larger_part() -> None:
    runs = Runs()
    before = runs.run("abcde", "fgh")
    after = runs.run("abcdefghx")
    assert after["abcdefghx"] == before["abcde"]
    whole = before["abcde"]
    assert runs.rows() == {(whole, whole, "merged", 5), (whole, before["fgh"], "merged", 3)}


def test_a_split_keeps_the_id_for_the_larger_part_and_makes_no_id_twice() -> None:
    runs = Runs()
    first = runs.run("abc")
    runs.run("abcdefg")
    after = runs.run("defg", "abc")
    assert after["defg"] == first["abc"], "the id was made of a, b and c, and is the cluster's all the same"
    assert after["abc"] != first["abc"]
    assert runs.rows() == {(after["defg"], first["abc"], "split", 4), (after["abc"], first["abc"], "split", 3)}


def test_the_parts_of_a_merger_that_splits_again_get_their_ids_back() -> None:
    runs = Runs()
    before = runs.run("abcde", "fgh")
    runs.run("abcdefgh")
    after = runs.run("fgh", "abcde")
    assert after == before
    assert set(runs.status.values()) == {"split"}


def test_what_ends_is_named_and_comes_back_under_its_id_runs_later() -> None:
    runs = Runs()
    before = runs.run("abcd", "xyz")
    runs.run("xyz")
    assert (None, before["abcd"], "ended", 0) in runs.rows()
    runs.run("xyz", "mno")
    assert before["abcd"] in set(runs.history.past["id"])
    after = runs.run("xyz", "mno", "abce")
    assert after["abce"] == before["abcd"]
    assert runs.status[after["abce"]] == "returned"
    assert (after["abce"], after["abce"], "returned", 3) in runs.rows()
    assert before["abcd"] not in set(runs.history.past["id"])


def test_an_id_that_ended_is_not_given_to_strangers() -> None:
    runs = Runs()
    before = runs.run("abcd")
    runs.run()
    after = runs.run("ax12")
    assert after["ax12"] != before["abcd"]
    assert runs.status == {after["ax12"]: "new"}


def test_one_that_takes_part_of_one_and_all_of_another_tells_both() -> None:
    runs = Runs()
    before = runs.run("abcdefgh", "xyz")
    after = runs.run("abcd", "efghxyz")
    assert list(after.values()) == list(before.values())
    assert runs.rows() == {
        (after["efghxyz"], before["xyz"], "grew", 3),
        (after["efghxyz"], before["abcdefgh"], "split", 4),
        (after["abcd"], before["abcdefgh"], "split", 4),
    }
    assert set(runs.status.values()) == {"split"}


def test_what_leaves_a_cluster_that_lives_on_has_split_from_it_whatever_else_it_joins() -> None:
    runs = Runs()
    before = runs.run("abcdefghi")
    after = runs.run("abcdef", "ghi12")
    assert after["abcdef"] == before["abcdefghi"]
    assert runs.rows() == {
        (after["abcdef"], before["abcdefghi"], "split", 6),
        (after["ghi12"], before["abcdefghi"], "split", 3),
    }


def test_organizations_are_named_apart_from_clusters() -> None:
    number, account = np.zeros(3, dtype=np.int64), np.array(list("abc"), dtype=object)
    history = History("r1", _frame({"c1": "abc", "o1": "abc"}), NO_HISTORY.past)
    assert name_groups(CLUSTER, number, account, 1, history).tolist() == ["c1"]
    assert name_groups(SYNDICATE, number, account, 1, history).tolist() == ["o1"]
    assert set(trace(_frame({"c1": "abc"}), history.of(CLUSTER))["kind"]) == {"known"}


def test_returns_are_told_of_new_clusters_and_of_those_that_go_on() -> None:
    runs = Runs()
    before = runs.run("abcd", "xyz")
    after = runs.run("abcdefg", "xyz", "mno")
    back = pd.DataFrame(
        {
            "cluster_id": [after["mno"], after["abcdefg"]],
            "from_cluster_id": [before["xyz"], before["abcd"]],
            "before": [3, 4],
        }
    )
    marked = with_returns(runs.lineage, back)
    assert statuses(marked).to_dict() == {
        after["mno"]: "returned", after["abcdefg"]: "returned", after["xyz"]: "known",
    }  # fmt: skip
    assert len(marked) == len(runs.lineage)


# -- the difference of two runs --------------------------------------------------------------------------------------


def _difference(before: dict[str, str], after: dict[str, str], past: dict[str, str] | None = None) -> Difference:
    history = History("r1", _frame(before), _frame(past or {}).assign(run_id="r0"))
    now = History("r2", _frame(after), NO_HISTORY.past)
    return difference(now, history, trace(now.members, history))


def test_a_difference_says_what_happened_and_who_moved() -> None:
    found = _difference(
        {"c1": "abcd", "c2": "efgh", "c3": "ijk", "c4": "lmn", "c5": "opqr", "c6": "stu"},
        {"c1": "abcdx", "c2": "efg", "c3": "ijklmn", "c5": "op", "c7": "qrz", "c8": "123", "c9": "456"},
        {"c9": "4567"},
    )
    document = found.document()
    assert (document["from_run"], document["to_run"]) == ("r1", "r2")
    assert document["born"] == [{"cluster_id": "c8", "size": 3}]
    grew = {"cluster_id": "c1", "from_cluster_id": "c1", "size": 5, "before": 4, "joined": 1, "left": 0}
    assert document["grew"] == [grew]
    assert [(row["cluster_id"], row["joined"], row["left"]) for row in document["shrank"]] == [("c2", 0, 1)]
    parts = [{"cluster_id": "c3", "shared": 3}, {"cluster_id": "c4", "shared": 3}]
    assert document["merged"] == [{"cluster_id": "c3", "size": 6, "from": parts}]
    parts = [{"cluster_id": "c5", "shared": 2}, {"cluster_id": "c7", "shared": 2}]
    assert document["split"] == [{"cluster_id": "c5", "size": 4, "into": parts}]
    assert document["ended"] == [{"cluster_id": "c6", "size": 3}]
    assert [(row["cluster_id"], row["from_cluster_id"]) for row in document["returned"]] == [("c9", "c9")]
    assert document["known"] == 0
    moved = {row["account_id"]: (row["from_cluster_id"], row["to_cluster_id"]) for row in document["moved"]}
    assert moved == {
        **dict.fromkeys("lmn", ("c4", "c3")), **dict.fromkeys("qr", ("c5", "c7")), "x": (None, "c1"),
        "h": ("c2", None), "z": (None, "c7"), **dict.fromkeys("456", (None, "c9")),
    }  # fmt: skip


def test_one_id_in_two_runs_is_one_cluster_whatever_its_members() -> None:
    found = _difference({"c1": "abc"}, {"c1": "xyz"})
    assert found.lineage[["cluster_id", "from_cluster_id", "kind"]].to_numpy().tolist() == [["c1", "c1", "known"]]
    assert {row["account_id"] for row in found.document()["moved"]} == set("abcxyz")


# -- any sequence of runs --------------------------------------------------------------------------------------------

_ACCOUNTS = [chr(ord("a") + number) for number in range(24)]


@st.composite
def _partitions(draw: st.DrawFn) -> list[list[str]]:
    """Some runs, each with the groups of 3 or more that a random labelling of the accounts makes."""
    runs = []
    for _ in range(draw(st.integers(2, 5))):
        label = draw(st.lists(st.integers(0, 6), min_size=len(_ACCOUNTS), max_size=len(_ACCOUNTS)))
        groups = ["".join(a for a, own in zip(_ACCOUNTS, label, strict=True) if own == one) for one in range(1, 7)]
        runs.append([group for group in groups if len(group) >= 3])
    return runs


@settings(max_examples=30, deadline=None)
@given(_partitions())
def test_ids_are_given_once_and_every_cluster_and_account_of_both_runs_is_explained(partitions: list[Groups]) -> None:
    runs = Runs()
    ever: set[str] = set()
    for groups in partitions:
        then = runs.history
        earlier, past = set(then.members["id"]), set(then.past["id"])
        names = set((ids := runs.run(*groups)).values())
        assert len(names) == len(ids) == len(groups)
        table, status = runs.lineage, runs.status
        assert set(table["kind"]) <= set(KINDS)
        assert set(status) == names and ENDED not in status.values()
        assert set(table["from_cluster_id"].dropna()) >= earlier, "each earlier one went on, merged, split or ended"
        assert ever == earlier | past
        assert all(status[name] in ("new", "split", "merged") for name in names - ever)
        ever |= names
        assert set(runs.history.past["id"]) == ever - names
        _accounted(then, runs.history, table)


def _accounted(then: History, now: History, lineage: pd.DataFrame) -> None:
    """Whoever takes the earlier run and does what the difference says has the later one."""
    document = difference(now, then, lineage).document()
    was: dict[str, str | None] = dict(zip(then.members["account_id"], then.members["id"], strict=True))
    was |= {row["account_id"]: row["to_cluster_id"] for row in document["moved"]}
    for row in document["born"]:
        own = now.members[now.members["id"] == row["cluster_id"]]
        was |= dict.fromkeys(own["account_id"], row["cluster_id"])
    ended = {row["cluster_id"] for row in document["ended"]}
    left = {account: name for account, name in was.items() if name is not None and name not in ended}
    assert left == dict(zip(now.members["account_id"], now.members["id"], strict=True))


@pytest.mark.parametrize("order", [1, -1])
def test_names_do_not_depend_on_the_order_of_clusters(order: int) -> None:
    runs, turned = Runs(), Runs()
    groups = [["abcd", "efgh"], ["abcdxy", "efg", "hmno"], ["abc", "dxy", "efg"]]
    for one in groups:
        assert runs.run(*one) == turned.run(*one[::order])
