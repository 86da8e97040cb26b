"""Verdicts are labels with a source and a time: what is decided moves the next run, what is taken back does not."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ringwatch import pipeline
from ringwatch.clock import now
from ringwatch.ingest import EventLog
from ringwatch.review import (
    Action,
    Decision,
    decide,
    load_book,
    open_cases,
    propose,
    publish_verdicts,
    record_export,
    undo,
    verdict_labels,
)

from .reviewing import Office


def _case(office: Office, cluster: str, **more: Any) -> str:
    case = open_cases(office.workspace, office.people["ann"], [cluster]).cases[0].case_id
    propose(
        office.workspace, office.people["ann"], [case], action=Action.SUSPEND, reason="x", **more,
    )  # fmt: skip
    return case


def _decide(office: Office, who: str, case: str, decision: str, **more: Any) -> None:
    decide(office.workspace, office.people[who], [case], Decision(decision), reason="because", **more)
    publish_verdicts(office.workspace)


def _labels(office: Office, as_of: datetime | None = None) -> dict[str, tuple[str, str]]:
    """Account → label and source, as a run reads them."""
    with duckdb.connect() as con:
        EventLog(office.workspace, office.workspace.current()).attach(con, as_of=as_of)
        rows = con.execute(
            """SELECT account_id, arg_max(label, (labelled_at, content_key)),
                      arg_max(source, (labelled_at, content_key)) FROM labels GROUP BY 1"""
        ).fetchall()
    return {account: (label, source) for account, label, source in rows}


def test_an_approval_labels_who_is_acted_on_and_nobody_else(office: Office) -> None:
    cluster = office.clusters[0]
    out, watched, *acted = sorted(office.cluster().members["account_id"])
    before = now()
    case = _case(office, cluster, exclude={out: "a school"}, actions={watched: Action.MONITOR})
    assert publish_verdicts(office.workspace) == 0, "a proposal is no verdict"
    _decide(office, "bob", case, "approve")
    assert _labels(office) == dict.fromkeys(acted, ("abusive", f"ringwatch:{case}:detector"))
    assert _labels(office, as_of=before) == {}
    rows = verdict_labels(load_book(office.workspace))
    assert set(rows["group_id"]) == {cluster}
    assert set(rows["reviewer"]) == {"bob"}
    batches = office.workspace.current().batches
    assert publish_verdicts(office.workspace) == 0
    assert office.workspace.current().batches == batches, "once is enough"
    run = pipeline.run_detection(office.workspace, seed=1)
    assert pipeline.load_run(office.workspace).used_labels == set(acted)
    assert pipeline.run_detection(office.workspace, seed=1, as_of=before).run_id != run.run_id
    assert pipeline.load_run(office.workspace).used_labels == frozenset()


def test_overturned_and_upheld_verdicts_move_the_next_run(office: Office) -> None:
    case = _case(office, office.clusters[0])
    _decide(office, "bob", case, "approve")
    record_export(office.workspace, case, load_book(office.workspace).case(case).digest, "f" * 64)
    one, two, *_ = load_book(office.workspace).case(case).actions

    def score(account: str) -> float:
        pipeline.run_detection(office.workspace, seed=1)
        scores = pipeline.load_scores(office.workspace).set_index("account_id")["score"]
        return float(scores[account])

    approved = score(one)
    _decide(office, "ann", case, "appeal")
    _decide(office, "cyd", case, "uphold", accounts=[two])
    _decide(office, "bob", case, "overturn", accounts=[one])
    heard = _labels(office)
    assert heard[one] == ("benign", f"ringwatch:{case}:appeal")
    assert heard[two] == ("abusive", f"ringwatch:{case}:appeal")
    assert score(one) < approved


def test_a_rejection_and_a_reversal_say_benign_unless_the_finding_stands(office: Office) -> None:
    one, two, three = (_case(office, name) for name in office.clusters[:3])
    _decide(office, "bob", one, "reject")
    for case, stands in ((two, False), (three, True)):
        _decide(office, "bob", case, "approve")
        record_export(office.workspace, case, load_book(office.workspace).case(case).digest, "f" * 64)
        _decide(office, "bob", case, "reverse", stands=stands)
    book, labels = load_book(office.workspace), _labels(office)
    for case, expected in (
        (one, ("benign", f"ringwatch:{one}:detector")),
        (two, ("benign", f"ringwatch:{two}:outcome")),
        (three, ("abusive", f"ringwatch:{three}:detector")),
    ):
        assert {labels[account] for account in book.case(case).actions} == {expected}


def test_what_is_taken_back_is_gone_from_then_on_and_was_there_before(office: Office) -> None:
    workspace, people = office.workspace, office.people
    cases = [_case(office, name) for name in office.clusters[:2]]
    given = next(iter(load_book(workspace).case(cases[0]).actions))
    done = decide(workspace, people["bob"], cases, Decision.APPROVE, reason="both")
    publish_verdicts(workspace)
    decided = now()
    assert given in _labels(office)
    assert done.job is not None
    undo(workspace, people["bob"], done.job, reason="too fast")
    publish_verdicts(workspace)
    assert _labels(office) == {}
    assert given in _labels(office, as_of=decided)
    _decide(office, "bob", cases[0], "approve")
    assert given in _labels(office)


def test_labels_from_outside_are_not_withdrawn_by_a_case(office: Office, tmp_path: Path) -> None:
    from drops import write_drop

    case = _case(office, office.clusters[0])
    account = next(iter(load_book(office.workspace).case(case).actions))
    row = {"account_id": account, "label": "benign", "labelled_at": "2026-04-01T00:00:00Z", "source": "support"}
    pipeline.ingest_drop(
        office.workspace, [write_drop(tmp_path / "drop", {"labels": [row, {**row, "source": None}]})]
    )
    decide(office.workspace, office.people["bob"], [case], Decision.APPROVE, reason="x")
    publish_verdicts(office.workspace)
    assert _labels(office)[account][0] == "abusive"
    propose(office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="other")
    publish_verdicts(office.workspace)
    assert _labels(office)[account][0] == "benign"


def test_a_decision_stands_while_another_process_writes_and_its_labels_follow(office: Office) -> None:
    case = _case(office, office.clusters[0])
    with office.workspace.writer():
        decide(office.workspace, office.people["bob"], [case], Decision.APPROVE, reason="x")
        assert publish_verdicts(office.workspace, wait=0.0) is None
    assert _labels(office) == {}
    assert publish_verdicts(office.workspace) == len(office.cluster().members)


def test_the_store_is_told(office: Office) -> None:
    from contextlib import closing

    case = _case(office, office.clusters[0])
    _decide(office, "bob", case, "approve")
    with closing(pipeline.open_store(office.workspace)) as store:
        labels = {row["id"]: row["label"] for row in store.nodes("Account").to_pylist()}
    actions = load_book(office.workspace).case(case).actions
    assert {account for account, label in labels.items() if label == "abusive"} == set(actions)
