"""A packet says who, what, why and why not, whom it may hit, in what order and the way back; and of nobody else."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch import audit, pipeline
from ringwatch.errors import PolicyError, UsageError
from ringwatch.export import FORMATS, export_takedown, pack_takedown
from ringwatch.export.collateral import estimate_collateral, poisson_binomial, track_record
from ringwatch.export.notices import notice, reason_code
from ringwatch.export.plan import stage
from ringwatch.graphs.clusters import ABUSE_LAYERS
from ringwatch.review import Action, Decision, State, decide, exclude, load_book, open_cases, propose, verify

from .reviewing import Office


def _approved(office: Office, **more: Any) -> str:
    workspace, people = office.workspace, office.people
    case = open_cases(workspace, people["ann"], office.clusters[:1]).cases[0].case_id
    propose(workspace, people["ann"], [case], action=Action.SUSPEND, reason="one purse", **more)
    decide(workspace, people["bob"], [case], Decision.APPROVE, reason="agreed")
    return case


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_packet_in_one_file_is_the_same_packet(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    packed = pack_takedown(office.workspace, case)
    assert load_book(office.workspace).case(case).state == State.EXPORTED
    export_takedown(office.workspace, case, tmp_path / "packet")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        there = {name: archive.read(name) for name in archive.namelist()}
    files = [path for path in (tmp_path / "packet").rglob("*") if path.is_file()]
    assert there == {
        f"{case}/{path.relative_to(tmp_path / 'packet').as_posix()}": path.read_bytes() for path in files
    }
    assert pack_takedown(office.workspace, case) == packed


# -- the packet ------------------------------------------------------------------------------------------------------


def test_a_packet_is_whole_and_names_nobody_who_is_excluded(office: Office, tmp_path: Path) -> None:
    out, watched, *acted = sorted(office.cluster().members["account_id"])
    case = _approved(office, exclude={out: "a school"}, actions={watched: Action.MONITOR})
    folder = tmp_path / "packet"
    report = export_takedown(office.workspace, case, folder)
    assert report.case.state == State.EXPORTED
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {one["path"] for one in manifest["files"]} | {"manifest.json"}
    for one in manifest["files"]:
        assert hashlib.sha256((folder / one["path"]).read_bytes()).hexdigest() == one["sha256"]
        assert one["what"]
    assert (manifest["proposed_by"], manifest["approved_by"]) == ("ann", "bob")
    last = audit.read(office.workspace.audit_path)[-1]
    assert last["manifest"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    for name in ("accounts.csv", "plan.csv", "reversal.csv"):
        assert {row["account_id"] for row in _csv(folder / name)} == {watched, *acted}, name
    actions = {row["account_id"]: row["action"] for row in _csv(folder / "accounts.csv")}
    assert actions == {watched: "monitor", **dict.fromkeys(acted, "suspend")}
    assert all(0 < float(row["confidence"]) <= 1 for row in _csv(folder / "accounts.csv"))
    assert {row["reason_code"] for row in _csv(folder / "accounts.csv")} <= {
        "coordinated-abuse/fraud", "coordinated-abuse/associated",
    }  # fmt: skip
    back = {row["account_id"]: row["reversal"] for row in _csv(folder / "reversal.csv")}
    assert back == {watched: "stop_monitoring", **dict.fromkeys(acted, "restore")}
    assert len(list((folder / "network").iterdir())) == len(FORMATS)
    evidence = _csv(folder / "evidence.csv")
    assert {"True", "False"} == {row["against"] for row in evidence}, "for and against"
    assert "a school" in (folder / "network" / "cluster.html").read_text()
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "case.json":
            said = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_text(encoding="utf-8")
            assert out not in said, path
    assert json.loads((folder / "case.json").read_text())["excluded"] == {out: "a school"}
    verify(office.workspace)


def test_the_same_case_gives_the_same_bytes_whatever_came_later(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    first = export_takedown(office.workspace, case, tmp_path / "1")
    decide(office.workspace, office.people["ann"], [case], Decision.APPLY, reason="done")
    pipeline.run_detection(office.workspace, seed=2)
    second = export_takedown(office.workspace, case, tmp_path / "2")
    assert first.files == second.files
    assert second.case.state == State.APPLIED


@pytest.mark.parametrize("then", [None, "return", "reject", "appeal"])
def test_only_what_is_approved_is_exported(office: Office, tmp_path: Path, then: str | None) -> None:
    case = _approved(office)
    if then is None or then in ("return", "reject"):
        propose(office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="milder")
        if then:
            decide(office.workspace, office.people["bob"], [case], Decision(then), reason="no")
    else:
        export_takedown(office.workspace, case, tmp_path / "first")
        decide(office.workspace, office.people["ann"], [case], Decision.APPEAL, reason="they wrote")
    before = audit.verify(office.workspace.audit_path).lines
    with pytest.raises(PolicyError, match="only what two people approved") as refused:
        export_takedown(office.workspace, case, tmp_path / "packet")
    assert refused.value.exit_code == 5
    assert not (tmp_path / "packet").exists()
    assert audit.verify(office.workspace.audit_path).lines == before


def test_yesterdays_approval_is_not_exported_today(office: Office, tmp_path: Path) -> None:
    from drops import make_tables, write_drop

    case = _approved(office)
    ring = office.cluster().members["account_id"].iloc[0].partition("-")[0]
    events = [
        {**row, "event_id": f"late-{row['event_id']}"}
        for row in make_tables(5, loners=0)["events"]
        if row["account_id"].startswith(ring)
    ]
    pipeline.ingest_drop(office.workspace, [write_drop(tmp_path / "late", {"events": events})])
    pipeline.run_detection(office.workspace, seed=1)
    with pytest.raises(PolicyError, match="stale") as refused:
        export_takedown(office.workspace, case, tmp_path / "packet")
    assert refused.value.exit_code == 5


def test_a_packet_is_not_written_over_something_else(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="holds something else"):
        export_takedown(office.workspace, case, tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]
    export_takedown(office.workspace, case, tmp_path / "packet")
    export_takedown(office.workspace, case, tmp_path / "packet")


def test_who_was_excluded_after_the_approval_is_not_in_the_packet(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    out = office.cluster().members["account_id"].iloc[0]
    exclude(office.workspace, office.people["bob"], case, out, reason="a school")
    export_takedown(office.workspace, case, tmp_path / "packet")
    assert out not in {row["account_id"] for row in _csv(tmp_path / "packet" / "accounts.csv")}
    stix = (tmp_path / "packet" / "network" / "cluster.stix.json").read_text()
    report = next(one for one in json.loads(stix)["objects"] if one["type"] == "report")
    assert len(report["object_refs"]) == 1 + len(office.cluster().members) - 1


def test_what_was_not_looked_at_is_said(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    export_takedown(office.workspace, case, tmp_path / "packet")
    gaps = json.loads((tmp_path / "packet" / "not-looked-at.json").read_text())["gaps"]
    said = {one["what"].partition(":")[0]: one for one in gaps}
    assert said["What people wrote"]["originals_opened_while_the_case_was_open"] == 0
    assert said["Kinds of data that no event of a member has"]["kinds"] == ["user_agent"]
    for one in gaps:
        assert one["what"] in (tmp_path / "packet" / "README.txt").read_text()


def test_earlier_cases_say_how_often_the_team_was_wrong(office: Office, tmp_path: Path) -> None:
    first = _approved(office)
    export_takedown(office.workspace, first, tmp_path / "first")
    account = next(iter(load_book(office.workspace).case(first).actions))
    decide(office.workspace, office.people["ann"], [first], Decision.APPEAL, reason="x", accounts=[account])
    decide(office.workspace, office.people["bob"], [first], Decision.OVERTURN, reason="x")
    other = open_cases(office.workspace, office.people["ann"], office.clusters[1:2]).cases[0].case_id
    propose(office.workspace, office.people["ann"], [other], action=Action.SUSPEND, reason="x")
    decide(office.workspace, office.people["bob"], [other], Decision.APPROVE, reason="x")
    export_takedown(office.workspace, other, tmp_path / "packet")
    found = json.loads((tmp_path / "packet" / "collateral.json").read_text())
    assert found["earlier_cases"]["accounts"] == len(office.cluster().members)
    assert found["earlier_cases"]["benign"] == 1
    assert found["earlier_cases"]["low"] < found["earlier_cases"]["share"] < found["earlier_cases"]["high"]
    nearest = [one["membership"] for one in found["nearest_to_benign"]]
    assert nearest == sorted(nearest)


# -- collateral ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), max_size=8))
def test_the_number_of_mistakes_is_what_counting_all_outcomes_gives(chances: list[float]) -> None:
    counted = np.zeros(len(chances) + 1)
    for outcome in itertools.product((0, 1), repeat=len(chances)):
        counted[sum(outcome)] += np.prod([p if hit else 1 - p for p, hit in zip(chances, outcome, strict=True)])
    assert poisson_binomial(np.array(chances)) == pytest.approx(counted, abs=1e-9)


def test_the_interval_holds_the_chance_that_all_of_it_is_wrong() -> None:
    sure = estimate_collateral(np.full(10, 1.0), 1.0)
    assert (sure.expected, sure.low, sure.high) == (0.0, 0, 0)
    doubtful = estimate_collateral(np.full(10, 0.9), 0.8)
    assert doubtful.expected == pytest.approx(0.8 * 1.0 + 0.2 * 10)
    assert (doubtful.low, doubtful.high) == (0, 10)
    assert doubtful.if_right[0] == pytest.approx(1.0)
    assert doubtful.if_right[2] == 3
    assert doubtful.all_wrong == pytest.approx(0.2)
    coin = estimate_collateral(np.array([0.5]), 1.0)
    assert (coin.low, coin.high) == (0, 1)
    assert estimate_collateral(np.zeros(0), 0.5).expected == 0.0


def test_the_track_record_is_a_share_with_an_interval() -> None:
    assert track_record(0, 0)["share"] is None
    none = track_record(0, 50)
    assert (none["low"], none["share"]) == (0.0, 0.0)
    assert 0.02 < none["high"] < 0.08
    assert track_record(50, 50)["high"] == 1.0


# -- plan ------------------------------------------------------------------------------------------------------------


def _accounts(count: int, watched: int = 0) -> pd.DataFrame:
    names = [f"a{number:03}" for number in range(count)]
    return pd.DataFrame(
        {
            "account_id": names, "action": ["monitor"] * watched + ["suspend"] * (count - watched),
            "confidence": np.linspace(0.5, 1.0, count), "membership": 1.0,
        }
    )  # fmt: skip


@given(st.integers(0, 200), st.integers(0, 3))
def test_every_account_is_in_one_wave_and_the_surest_come_first(count: int, watched: int) -> None:
    accounts = _accounts(count + watched, watched)
    if not len(accounts):
        return
    plan = stage(accounts, "d")
    assert sorted(plan["account_id"]) == sorted(accounts["account_id"])
    assert plan["day"].is_monotonic_increasing
    roles = plan["role"].value_counts()
    assert roles.get("watched", 0) == watched
    assert roles.get("hold-out", 0) == (count // 10 if count >= 20 else 0)
    if count:
        acted = accounts[accounts["action"] != "monitor"].set_index("account_id")["confidence"]
        by = {role: acted[part["account_id"]] for role, part in plan.groupby("role") if role != "watched"}
        assert 1 <= len(by["canary"]) <= max(1, count // 10)
        if "rest" in by:
            assert by["canary"].min() > by["rest"].max()


def test_hold_outs_are_drawn_by_lot_and_again_the_same() -> None:
    one, again, other = (stage(_accounts(60), digest) for digest in ("d", "d", "e"))
    pd.testing.assert_frame_equal(one, again)
    held = [set(plan.loc[plan["role"] == "hold-out", "account_id"]) for plan in (one, other)]
    assert held[0] != held[1]
    assert stage(_accounts(60).iloc[::-1], "d").equals(one)


# -- notices ---------------------------------------------------------------------------------------------------------

_METHOD = re.compile(
    r"\b(ip|ips|address(es)?|device|card|payment|phone|e-?mail|fingerprint|prompt|token|score|bit|bits|cluster|graph|model"
    r"|algorithm|similar|same time|sign-?up|detector|network|ring)\b",
    re.IGNORECASE,
)


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12),
    st.sampled_from(Action),
    st.one_of(st.none(), st.sampled_from(["fraud", "csam", "<b>x</b>", "ip address", "spam_bots"])),
    st.integers(0, 3),
)
def test_a_notice_names_the_account_and_no_method(
    account: str, action: Action, harm: str | None, harmful: int
) -> None:
    text = notice(account, action, harm, harmful, "case-1")
    if action in (Action.MONITOR, Action.REFER):
        assert text == ""
        return
    assert "case-1" in text
    assert "<" not in text.replace(account, "")
    assert "30 days" in text
    if harm != "ip address":
        assert not _METHOD.search(text.replace(account, "ACCOUNT"))


def test_notices_of_a_packet_name_no_other_account_and_nothing_shared(office: Office, tmp_path: Path) -> None:
    case = _approved(office)
    export_takedown(office.workspace, case, tmp_path / "packet")
    notices = json.loads((tmp_path / "packet" / "notices.json").read_text())["notices"]
    cluster = office.cluster()
    names = set(cluster.members["account_id"])
    assert {one["account_id"] for one in notices} == names
    hidden = [
        *cluster.entities["token"],
        cluster.cluster_id,
        cluster.digest,
        *(set(cluster.layers) - {*ABUSE_LAYERS}),
    ]
    for one in notices:
        others = [name for name in names - {one["account_id"]} if re.search(rf"\b{re.escape(name)}\b", one["text"])]
        assert others == []
        assert not [word for word in hidden if re.search(rf"\b{re.escape(word)}\b", one["text"])]


def test_a_reason_code_is_the_accounts_own() -> None:
    assert reason_code("spam_bots", 2) == "coordinated-abuse/spam-bots"
    assert reason_code("spam", 0) == "coordinated-abuse/associated"
    assert reason_code("=cmd|x", 1) == "coordinated-abuse/harmful-use"
