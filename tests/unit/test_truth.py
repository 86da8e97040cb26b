"""Who counts, in which group, and what is known of benign ones."""

from __future__ import annotations

import pandas as pd

from ringwatch.evaluation.truth import select

LABELS = pd.DataFrame(
    [
        ("b", "abusive", "x"), ("a", "abusive", "y"), ("c", "benign", "x"), ("d", "benign", None),
        ("e", "abusive", None), ("f", "benign", None), ("g", "benign", None),
    ],
    columns=["account_id", "label", "group_id"],
)  # fmt: skip


def test_a_group_is_all_accounts_of_one_id_and_one_label() -> None:
    truth = select(LABELS, LABELS["account_id"])
    assert truth.group.tolist() == [0, 1, 2, -1, -1, -1, -1], "abusive groups come first"
    assert (truth.groups, truth.names) == (2, ["x", "y"])
    assert truth.paired.tolist() == [True, True, True, True, False, True, True]
    assert truth.units.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_who_the_run_did_not_see_and_who_it_knew_is_out() -> None:
    truth = select(LABELS, ["a", "b", "c", "e"], used=["c"])
    assert truth.accounts.tolist() == ["a", "e"]
    assert truth.left_out == {"b", "c"}
    assert truth.counts == {
        "labelled": 7, "evaluated": 2, "abusive": 2, "benign": 0, "left_out": 2, "left_out_by_group": 1,
        "unknown_accounts": 3,
    }  # fmt: skip


def test_benign_groups_from_elsewhere_fill_in_what_labels_leave_open() -> None:
    known = pd.DataFrame({"account_id": ["d", "f", "c", "e"], "group_id": ["home", "home", "other", "wrong"]})
    truth = select(LABELS, LABELS["account_id"])
    filled = truth.with_benign(known)
    assert filled.group.tolist()[:3] == [0, 1, 2], "what the labels say stays"
    assert filled.group_id.tolist() == ["x", "y", "x", "home", None, "home", None]
    assert filled.group[3] == filled.group[5] >= 3
    assert filled.group[4] == filled.group[6] == -1
    assert filled.groups == truth.groups
    assert truth.with_benign(None) is truth
