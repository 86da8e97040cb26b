"""What counts in an evaluation, what is left out, and what it says when there is nothing to say."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ringwatch.errors import DataError, UsageError
from ringwatch.evaluation import EvaluationReport, assess, read_benign_groups, read_labels, read_operations

Row = tuple[str, str, str | None]


def _labels(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["account_id", "label", "group_id"])


def _assess(rows: list[Row], found: dict[str, list[str]], **settings: Any) -> EvaluationReport:
    """`found`: cluster → members, best first; members score high, the others low."""
    members = pd.DataFrame(
        [(name, account) for name, accounts in found.items() for account in accounts],
        columns=["cluster_id", "account_id"],
    )
    clusters = pd.DataFrame({"cluster_id": pd.Series([*found], dtype="str")})
    everyone = sorted({row[0] for row in rows} | {*members["account_id"]})
    score = [0.9 if account in {*members["account_id"]} else 0.1 for account in everyone]
    scores = pd.DataFrame({"account_id": everyone, "score": score})
    given: dict[str, Any] = {"scores": scores, "resamples": 20, **settings}
    return assess(_labels(rows), members=members, clusters=clusters, **given)


RING: list[Row] = [(f"r{i}", "abusive", "ring") for i in range(4)]
MULE: list[Row] = [(f"m{i}", "abusive", "mule") for i in range(4)]
GOOD: list[Row] = [(f"g{i}", "benign", None) for i in range(6)]
CLUSTER_FIGURES = (
    "recovery", "pairwise_precision", "pairwise_recall", "pairwise_f1", "bcubed_precision", "bcubed_recall",
    "bcubed_f1", "ari", "precision_at_k", "fragmentation",
)  # fmt: skip
FOUND = {"c1": ["r0", "r1", "r2", "r3"], "c2": ["m0", "m1", "g0", "u0"], "c3": ["g1", "g2", "u1"]}


def _values(report: EvaluationReport) -> dict[str, float | None]:
    return {name: one.value for name, one in (report.accounts | report.clusters).items()}


def test_figures_of_a_small_world_by_hand() -> None:
    report = _assess(RING + MULE + GOOD, FOUND)
    values = _values(report)
    assert values["recovery"] == pytest.approx((1 + 2 * 2 / (4 + 4)) / 2)
    assert values["precision_at_k"] is not None
    assert report.clusters["precision_at_k"].value == 0.5, "c2 is half mules only; k is 2, so c3 does not count"
    assert report.clusters["collateral"].value == pytest.approx(1 / 7, abs=1e-6)
    assert values["pairwise_precision"] == pytest.approx((6 + 1) / (6 + 3 + 1), abs=1e-6)
    assert values["pairwise_recall"] == pytest.approx(7 / 12, abs=1e-6)
    assert report.accounts["precision_at_k"].value == pytest.approx(8 * 6 / 9 / 8, abs=1e-6)
    assert report.counts["true_groups"] == 2


def test_perfect_clusters_have_perfect_figures() -> None:
    found = {"c1": [row[0] for row in RING], "c2": [row[0] for row in MULE]}
    document = _assess(RING + MULE + GOOD, found).document()
    collateral = document["clusters"].pop("collateral")
    assert {name: one["value"] for name, one in document["clusters"].items()} == dict.fromkeys(CLUSTER_FIGURES, 1.0)
    assert collateral == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert document["accounts"]["auprc"]["value"] == document["accounts"]["auroc"]["value"] == 1.0


def test_an_account_whose_label_was_used_leaves_with_its_group() -> None:
    used = _assess(RING + MULE + GOOD, FOUND, used=["r0", "g5"])
    without = _assess(MULE + GOOD[:5], {name: FOUND[name] for name in ("c2", "c3")}, k=None)
    assert _values(used) == _values(without)
    assert used.counts["left_out"] == 5
    assert used.counts["left_out_by_group"] == 3
    assert used.counts["clusters"] == 2, "the ring's cluster is no false alarm now that the ring is left out"


def test_ungrouped_abusive_accounts_have_no_part_in_pairs() -> None:
    stray: list[Row] = [("s0", "abusive", None), ("s1", "abusive", None)]
    found = FOUND | {"c1": ["r0", "r1", "r2", "r3", "s0", "s1"]}
    with_strays, without = _assess(RING + MULE + GOOD + stray, found), _assess(RING + MULE + GOOD, FOUND)
    for name in ("pairwise_precision", "pairwise_recall", "pairwise_f1", "bcubed_f1", "ari"):
        assert with_strays.clusters[name].value == without.clusters[name].value
    assert with_strays.counts["abusive"] == 10
    assert _values(with_strays)["recovery"] == pytest.approx((2 * 4 / (4 + 6) + 0.5) / 2, abs=1e-6)


def test_a_benign_group_is_a_group_for_pairs_and_no_hit_and_nothing_to_recover() -> None:
    campus: list[Row] = [(f"k{i}", "benign", "campus") for i in range(4)]
    report = _assess(RING + campus, {"c1": [row[0] for row in campus], "c2": [row[0] for row in RING]})
    assert report.clusters["pairwise_f1"].value == 1.0
    assert report.counts["true_groups"] == 1
    assert report.clusters["precision_at_k"].value == 0.0
    assert report.clusters["collateral"].value == 1.0


def test_groups_below_three_are_true_groups_that_cannot_be_recovered() -> None:
    pair: list[Row] = [("p0", "abusive", "pair"), ("p1", "abusive", "pair")]
    report = _assess(RING + pair + GOOD, FOUND)
    assert report.counts["true_groups"] == 2
    assert report.counts["recoverable_groups"] == 1


def test_accounts_that_the_run_never_saw_are_left_out_and_named_in_a_warning() -> None:
    scores = pd.DataFrame({"account_id": [row[0] for row in RING + GOOD], "score": 0.5})
    report = _assess(RING + MULE + GOOD, {"c1": FOUND["c1"]}, scores=scores)
    assert report.counts["unknown_accounts"] == 4
    assert any("4 labelled accounts are not in the run" in line for line in report.warnings)
    assert report.clusters["recovery"].value == 1.0


def test_without_positives_figures_are_null_and_never_nan() -> None:
    document = _assess(GOOD, {}).document()
    null = {"value": None, "low": None, "high": None}
    for name in ("auprc", "auroc", "precision_at_k", "recall_at_k"):
        assert document["accounts"][name] == null
    for name in ("recovery", "precision_at_k", "pairwise_f1", "collateral", "fragmentation"):
        assert document["clusters"][name] == null
    assert "nan" not in str(document).lower()


def test_without_any_label_there_is_a_warning_and_no_failure() -> None:
    report = _assess([], FOUND)
    assert report.counts["evaluated"] == 0
    assert any("No labelled account" in line for line in report.warnings)
    assert {*_values(report).values()} == {None}


def test_recovery_by_kind_beside_what_is_attainable() -> None:
    operations = pd.DataFrame(
        {"group_id": ["ring", "mule", "gone"], "kind": ["card", "chain", "chain"], "attainable_f1": [1.0, 0.8, 0.2]}
    )
    report = _assess(RING + MULE + GOOD, FOUND, operations=operations)
    card, chain = (kind.document() for kind in report.kinds)
    assert (card["kind"], card["groups"], card["recovery"]["value"]) == ("card", 1, 1.0)
    assert (chain["kind"], chain["groups"], chain["recovery"]["value"]) == ("chain", 1, 0.5)
    assert chain["attainable_ratio"] == pytest.approx(0.5 / 0.8)
    assert report.attainable == pytest.approx(0.9)


def test_k_sets_the_depth_of_accounts_and_of_clusters() -> None:
    report = _assess(RING + MULE + GOOD, FOUND, k=1)
    assert report.clusters["precision_at_k"].value == 1.0
    assert report.accounts["recall_at_k"].value == pytest.approx(6 / 9 / 8, abs=1e-6)


def test_fragmentation_is_over_groups_of_which_two_members_are_together() -> None:
    gang: list[Row] = [(f"x{i}", "abusive", "gang") for i in range(6)]
    lost: list[Row] = [(f"l{i}", "abusive", "lost") for i in range(3)]
    found = {
        "c1": ["r0", "r1", "r2", "r3"],
        "c2": ["x0", "x1", "g0"],
        "c3": ["x2", "x3", "x4"],
        "c4": ["x5", "l0", "g1"],
    }
    report = _assess(RING + gang + lost + GOOD, found)
    assert report.clusters["fragmentation"].value == 1.5, "the ring is whole, the gang in two, the stray is no piece"


def test_a_cluster_of_benign_accounts_on_the_first_page_is_named() -> None:
    found = {
        "c1": ["g0", "g1", "g2", "r0"], "c2": ["r1", "r2", "r3"], "c3": ["g3", "m0", "m1"], "c4": ["g4", "g5", "m2"],
    }  # fmt: skip
    homes = pd.DataFrame(
        {"account_id": ["g0", "g1", "g2", "g4"], "group_id": ["h1", "h2", "h2", "h3"], "kind": "home"}
    )
    document = _assess(RING + MULE + GOOD, found, k=3, benign_groups=homes).document()["lookalikes"]
    assert (document["clusters"], document["of_one_group"]) == (1, 0), "c3 is mostly mules, c4 not on the page"
    assert document["named"] == [
        {
            "cluster_id": "c1", "place": 1, "size": 4, "benign": 3, "group_id": "h2", "kind": "home",
            "group_members": 2, "of_one_group": False,
        }
    ]  # fmt: skip
    whole = _assess(RING + MULE + GOOD, found, k=4, benign_groups=homes.assign(group_id="h")).lookalikes
    assert [(one.cluster_id, one.place, one.of_one_group) for one in whole] == [("c1", 1, True), ("c4", 4, False)]


def test_labels_can_name_benign_groups_themselves() -> None:
    campus: list[Row] = [(f"k{i}", "benign", "campus") for i in range(4)]
    (one,) = _assess(RING + campus, {"c1": [row[0] for row in campus]}).lookalikes
    assert (one.group_id, one.kind, one.group_members, one.of_one_group) == ("campus", None, 4, True)


# -- reading ---------------------------------------------------------------------------------------------------------

CSV = (
    "account_id,label,labelled_at,group_id,source\n"
    "a,benign,2026-01-01T00:00:00Z,,team\n"
    "a,abusive,2026-02-01T00:00:00+01:00,g1,team\n"
    "007,benign,2026-01-01,,\n"
)
JSONL = (
    '{"account_id": "a", "label": "benign", "labelled_at": "2026-01-01T00:00:00Z", "note": [1]}\n'
    '{"account_id": "a", "label": "abusive", "labelled_at": "2026-02-01T00:00:00+01:00", "group_id": "g1"}\n'
    '{"account_id": "007", "label": "benign", "labelled_at": "2026-01-01", "group_id": null}\n'
)


@pytest.mark.parametrize(
    "name", ["l.csv", "l.csv.gz", "l.csv.zst", "l.jsonl", "l.ndjson.gz", "l.jsonl.zst", "l.parquet"]
)
def test_labels_are_read_in_every_format_of_the_contract(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = (CSV if ".csv" in name else JSONL).encode()
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text))
    elif name.endswith(".zst"):
        path.write_bytes(zstandard.compress(text))
    elif name.endswith(".parquet"):
        times = pd.to_datetime(["2026-01-01", "2026-01-31T23:00", "2026-01-01"], format="ISO8601")
        columns = {"account_id": ["a", "a", "007"], "label": ["benign", "abusive", "benign"], "labelled_at": times}
        pd.DataFrame(columns | {"group_id": [None, "g1", None]}).to_parquet(path)
    else:
        path.write_bytes(text)
    frame = read_labels(path)
    assert frame["account_id"].tolist() == ["007", "a"]
    assert frame["label"].tolist() == ["benign", "abusive"], "the latest label stands"
    assert frame["group_id"].isna().tolist() == [True, False]
    assert frame["labelled_at"].iloc[1] == pd.Timestamp("2026-01-31T23:00Z")


def test_groups_that_are_whole_numbers_stay_so_beside_accounts_of_none(tmp_path: Path) -> None:
    numbers = pa.array([7, None], pa.int64())
    table = pa.table({
        "account_id": ["a", "b"], "label": ["abusive", "benign"], "labelled_at": ["2026-03-01T00:00:00Z"] * 2,
        "group_id": numbers,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "labels.parquet")
    assert read_labels(tmp_path / "labels.parquet")["group_id"].tolist()[0] == "7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("account_id,label\na,benign\n", "no column 'labelled_at'"),
        ("account_id,label,labelled_at\na,evil,2026-01-01\n", "data row 1 has a label"),
        ("account_id,label,labelled_at\na,benign,2026-01-01\nb,benign,soon\n", "data row 2 has a labelled_at"),
        ("account_id,label,labelled_at\n,benign,2026-01-01\n", "data row 1 has no account_id"),
        ("account_id,label,labelled_at\na,benign\n", "cannot be read"),
        ("account_id,label,labelled_at,label\na,benign,2026-01-01,abusive\n", "the column 'label' twice"),
    ],
)
def test_labels_that_break_the_contract_are_refused_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read_labels(path)


def test_a_missing_file_and_an_unknown_format_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    for name in ("none.csv", "labels.xlsx"):
        with pytest.raises(UsageError):
            read_labels(tmp_path / name)


def test_operations_stand_beside_the_labels_or_not(tmp_path: Path) -> None:
    assert read_operations(tmp_path / "labels.parquet") is None
    pq.write_table(pa.table({"group_id": ["g"], "kind": ["card"], "size": [3]}), tmp_path / "operations.parquet")
    frame = read_operations(tmp_path / "labels.parquet")
    assert frame is not None
    assert frame["kind"].tolist() == ["card"]


def test_benign_groups_stand_beside_the_labels_or_not(tmp_path: Path) -> None:
    assert read_benign_groups(tmp_path / "labels.parquet") is None
    columns: dict[str, Any] = {"account_id": ["a", "b"], "group_id": ["g", "g"], "kind": ["home"] * 2, "more": [1, 2]}
    pq.write_table(pa.table(columns), tmp_path / "benign_groups.parquet")
    frame = read_benign_groups(tmp_path / "labels.parquet")
    assert frame is not None
    assert frame.to_dict("list") == {name: columns[name] for name in ("account_id", "group_id", "kind")}
    pq.write_table(pa.table({"account_id": ["a"]}), tmp_path / "benign_groups.parquet")
    with pytest.raises(DataError, match="group_id"):
        read_benign_groups(tmp_path / "labels.parquet")
