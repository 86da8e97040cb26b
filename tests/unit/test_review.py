"""A case goes its way by the signatures of two people, and no way round them is open or stays unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from drops import make_tables, write_drop

from ringwatch import audit, pipeline
from ringwatch.audit import Entry, appending
from ringwatch.clock import now
from ringwatch.config import make_config
from ringwatch.errors import BusyError, PolicyError, RingwatchError, UsageError
from ringwatch.review import (
    Action,
    Decision,
    Role,
    Signer,
    State,
    choices,
    decide,
    enrol,
    exclude,
    include,
    load_book,
    open_cases,
    propose,
    record_export,
    retire,
    review_queue,
    sign_in,
    similar_clusters,
    undo,
    unlock,
    verify,
)
from ringwatch.review.reviewers import make_key
from ringwatch.review.workflow import current_cluster, digest_of

from .reviewing import PASSPHRASE, Office


def _proposed(office: Office, place: int = 0, by: str = "ann", **more: Any) -> str:
    case = open_cases(office.workspace, office.people[by], [office.clusters[place]]).cases[0].case_id
    propose(office.workspace, office.people[by], [case], action=Action.SUSPEND, reason="one operation", **more)
    return case


def _decide(office: Office, who: str, case: str, decision: str, **more: Any) -> State:
    done = decide(office.workspace, office.people[who], [case], Decision(decision), reason="because", **more)
    return done.cases[0].state


def _approved(office: Office, **more: Any) -> str:
    case = _proposed(office, **more)
    assert _decide(office, "bob", case, "approve") == State.APPROVED
    return case


def _exported(office: Office) -> str:
    case = _approved(office)
    record_export(office.workspace, case, load_book(office.workspace).case(case).digest, "f" * 64)
    return case


# -- the way of a case -----------------------------------------------------------------------------------------------


def test_a_case_from_cluster_to_reversal(office: Office) -> None:
    workspace, cluster = office.workspace, office.cluster()
    case = _proposed(office)
    state = load_book(workspace).case(case)
    assert (state.state, state.digest, state.proposer) == (State.PROPOSED, cluster.digest, "ann")
    assert state.actions == dict.fromkeys(cluster.members["account_id"], "suspend")
    assert _decide(office, "bob", case, "approve") == State.APPROVED
    assert record_export(workspace, case, cluster.digest, "f" * 64).state == State.EXPORTED
    assert _decide(office, "ann", case, "apply") == State.APPLIED
    assert _decide(office, "cyd", case, "reverse") == State.REVERSED
    events = [entry["action"] for entry in load_book(workspace).case(case).events]
    assert events == ["case-open", "case-propose", "case-decide", "case-export", "case-decide", "case-decide"]
    found = verify(workspace)
    assert (found.reviewers, found.cases, found.signed) == (5, 1, 10)


def test_what_is_returned_is_proposed_again_and_what_is_rejected_is_over(office: Office) -> None:
    case = _proposed(office)
    assert _decide(office, "bob", case, "return") == State.RETURNED
    propose(office.workspace, office.people["bob"], [case], action=Action.LIMIT, reason="milder")
    # Now bob is the proposer, and ann could decide were she a reviewer.
    with pytest.raises(PolicyError, match="bob proposed"):
        _decide(office, "bob", case, "approve")
    with pytest.raises(PolicyError, match="ann is analyst"):
        _decide(office, "ann", case, "approve")
    assert _decide(office, "cyd", case, "reject") == State.REJECTED
    with pytest.raises(UsageError, match="is rejected"):
        propose(office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="once more")
    again = open_cases(office.workspace, office.people["ann"], [office.clusters[0]])
    assert again.cases[0].case_id == "case-2"


@pytest.mark.parametrize("decision", ["apply", "reverse", "appeal", "uphold", "overturn"])
def test_what_comes_later_cannot_come_first(office: Office, decision: str) -> None:
    case = _proposed(office)
    before = audit.verify(office.workspace.audit_path).lines
    with pytest.raises(UsageError, match="is proposed and cannot"):
        _decide(office, "bob", case, decision)
    with pytest.raises(UsageError, match="cannot be exported"):
        record_export(office.workspace, case, load_book(office.workspace).case(case).digest, "f" * 64)
    assert audit.verify(office.workspace.audit_path).lines == before, "what was refused left no line"


def test_an_appeal_is_upheld_by_a_third_person_and_overturned_by_any(office: Office) -> None:
    case = _exported(office)
    first, second, *_ = load_book(office.workspace).case(case).actions
    assert _decide(office, "ann", case, "appeal", accounts=[first]) == State.APPEALED
    assert _decide(office, "ann", case, "appeal", accounts=[second]) == State.APPEALED
    with pytest.raises(UsageError, match="has appealed already"):
        _decide(office, "ann", case, "appeal", accounts=[first])
    with pytest.raises(PolicyError, match="cannot uphold"):
        _decide(office, "bob", case, "uphold", accounts=[first])
    assert _decide(office, "cyd", case, "uphold", accounts=[first]) == State.APPEALED, "one is still open"
    assert _decide(office, "bob", case, "overturn") == State.OVERTURNED
    assert load_book(office.workspace).case(case).appeals == {first: "upheld", second: "overturned"}


def test_every_decision_has_a_reason_and_every_member_an_action(office: Office) -> None:
    case = _proposed(office)
    with pytest.raises(UsageError, match="needs a reason"):
        decide(office.workspace, office.people["bob"], [case], Decision.APPROVE, reason="  ")
    one = office.cluster().members["account_id"].iloc[0]
    propose(
        office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="as it is",
        actions={one: Action.MONITOR},
    )  # fmt: skip
    actions = load_book(office.workspace).case(case).actions
    assert {name for name, action in actions.items() if action == "monitor"} == {one}
    with pytest.raises(UsageError, match="is no member of"):
        propose(
            office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="x",
            actions={"stranger": Action.LIMIT},
        )  # fmt: skip


# -- excluded members ------------------------------------------------------------------------------------------------


def test_members_are_excluded_one_by_one_and_stay_out(office: Office) -> None:
    people, workspace = office.people, office.workspace
    one, two, *others = sorted(office.cluster().members["account_id"])
    case = _proposed(office, exclude={one: "a school"})
    assert _decide(office, "bob", case, "approve") == State.APPROVED
    exclude(workspace, people["bob"], case, two, reason="a school, too")
    state = load_book(workspace).case(case)
    assert state.state == State.APPROVED
    assert state.excluded == {one: "a school", two: "a school, too"}
    assert sorted(state.actions) == sorted(state.labels) == others
    with pytest.raises(UsageError, match="cannot be widened"):
        include(workspace, people["bob"], case, one, reason="no")
    with pytest.raises(UsageError, match="excluded already"):
        exclude(workspace, people["bob"], case, one, reason="again")
    for account in others[:-1]:
        exclude(workspace, people["bob"], case, account, reason="all of them")
    with pytest.raises(UsageError, match="Nobody would be left"):
        exclude(workspace, people["bob"], case, others[-1], reason="all of them")
    propose(workspace, people["ann"], [case], action=Action.SUSPEND, reason="the rest")
    _decide(office, "cyd", case, "reject")
    later = open_cases(workspace, people["ann"], [office.clusters[0]]).cases[0]
    assert later.excluded[one] == "case-1: a school"
    include(workspace, people["ann"], later.case_id, one, reason="the school says it is none of theirs")
    assert one not in load_book(workspace).case(later.case_id).excluded
    _decided = verify(workspace)
    assert _decided.cases == 2


# -- two people ------------------------------------------------------------------------------------------------------


def test_nobody_decides_on_what_they_proposed(office: Office) -> None:
    case = _proposed(office, by="bob")
    for decision in ("approve", "return", "reject"):
        with pytest.raises(PolicyError, match="bob proposed case-1 and cannot decide"):
            _decide(office, "bob", case, decision)


def test_what_is_offered_is_what_the_rules_let_through(office: Office) -> None:
    case = _proposed(office, by="bob")
    steps = {State.PROPOSED: ("cyd", "approve"), State.EXPORTED: ("ann", "appeal"), State.APPEALED: ("dee", "uphold")}
    while (found := load_book(office.workspace).case(case)).state is not State.UPHELD:
        for name, signer in office.people.items():
            offered = choices(found, load_book(office.workspace).reviewer(name))
            for decision in Decision:
                if offered.get(decision) != "":
                    with pytest.raises(RingwatchError) as refused:
                        decide(office.workspace, signer, [case], decision, reason="because")
                    assert offered.get(decision, refused.value.message) == refused.value.message, (name, decision)
        if found.state is State.APPROVED:
            record_export(office.workspace, case, found.digest, "0" * 64)
            continue
        who, step = steps[found.state]
        assert choices(found, load_book(office.workspace).reviewer(who))[Decision(step)] == ""
        _decide(office, who, case, step)


def test_who_signs_in_has_the_key_that_was_enrolled(office: Office) -> None:
    assert sign_in(office.workspace, "bob", PASSPHRASE).key == office.people["bob"].key
    with pytest.raises(UsageError, match="no reviewer eve"):
        sign_in(office.workspace, "eve", PASSPHRASE)
    assert make_key(office.workspace, "cyd", PASSPHRASE).key != office.people["cyd"].key, (
        "another file is in its place"
    )
    with pytest.raises(PolicyError, match="not the one that was enrolled"):
        sign_in(office.workspace, "cyd", PASSPHRASE)


def test_similar_clusters_say_what_came_of_them(office: Office) -> None:
    run, (first, second, *_) = pipeline.load_run(office.workspace), office.clusters
    case = _proposed(office)
    _decide(office, "bob", case, "reject")
    book = load_book(office.workspace)
    # The same people under another name, as after a split.
    renamed = replace(run, **{
        name: getattr(run, name).assign(cluster_id=getattr(run, name)["cluster_id"].replace({first: "c-new"}))
        for name in ("clusters", "members", "entities", "evidence")
    })  # fmt: skip
    found = similar_clusters(renamed, book, "c-new")
    assert found[["cluster_id", "case_id", "state", "accounts"]].to_numpy().tolist()[0] == [
        first, case, "rejected", office.cluster().size,
    ]  # fmt: skip
    assert found["size"].isna()[0], "the run has it no more"
    of_second = similar_clusters(run, book, second)
    assert second not in set(of_second["cluster_id"]) and all(0 <= alike <= 1 for alike in of_second["alike"])
    shares = set(run.entities.loc[run.entities["cluster_id"] == first, "token"])
    common = shares & set(run.entities.loc[run.entities["cluster_id"] == second, "token"])
    assert bool(common) == bool(of_second.loc[of_second["cluster_id"] == first, "shared"].any())


def test_a_key_has_one_name_and_a_name_one_key(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, people = office.workspace, office.people
    for name in ("bob", "BOB"):
        with pytest.raises(UsageError, match="There is or was"):
            enrol(workspace, name, Role.REVIEWER, PASSPHRASE, by=people["root"])
    twin = Signer("twin", people["bob"].private)
    monkeypatch.setattr("ringwatch.review.workflow.make_key", lambda *_: twin)
    with pytest.raises(PolicyError, match="another reviewer's"):
        enrol(workspace, "twin", Role.REVIEWER, PASSPHRASE, by=people["root"])


def test_only_an_admin_enrols_and_decides_nothing(office: Office) -> None:
    workspace, people = office.workspace, office.people
    with pytest.raises(UsageError, match="An admin enrols"):
        enrol(workspace, "eve", Role.REVIEWER, PASSPHRASE)
    with pytest.raises(PolicyError, match="bob is no admin"):
        enrol(workspace, "eve", Role.REVIEWER, PASSPHRASE, by=people["bob"])
    with pytest.raises(UsageError, match="fewer than"):
        enrol(workspace, "eve", Role.REVIEWER, "short", by=people["root"])
    with pytest.raises(PolicyError, match="root is admin"):
        open_cases(workspace, people["root"], office.clusters[:1])
    case = _proposed(office)
    with pytest.raises(PolicyError, match="root is admin"):
        _decide(office, "root", case, "approve")
    assert not list((workspace.root / "keys" / "reviewers").glob("eve*"))


def test_the_first_reviewer_is_an_admin(tmp_path: Path) -> None:
    workspace = pipeline.create_workspace(tmp_path / "workspace", make_config())
    with pytest.raises(UsageError, match="first to be enrolled is an admin"):
        enrol(workspace, "bob", Role.REVIEWER, PASSPHRASE)
    assert enrol(workspace, "root", Role.ADMIN, PASSPHRASE).enrolled_by == "root"


def test_who_is_retired_signs_no_more_and_what_they_signed_stays(office: Office) -> None:
    case = _approved(office)
    retire(office.workspace, "bob", by=office.people["root"], reason="left")
    with pytest.raises(PolicyError, match="bob is retired"):
        _decide(office, "bob", case, "reverse")
    with pytest.raises(PolicyError, match="only admin"):
        retire(office.workspace, "root", by=office.people["root"], reason="left")
    assert load_book(office.workspace).case(case).state == State.APPROVED
    verify(office.workspace)


def test_a_key_opens_by_its_passphrase_alone(office: Office) -> None:
    with pytest.raises(PolicyError, match="not the passphrase of bob"):
        unlock(office.workspace, "bob", "another passphrase")
    folder = office.workspace.root / "keys" / "reviewers"
    assert (folder.stat().st_mode | (folder / "bob.json").stat().st_mode) & 0o077 == 0
    assert unlock(office.workspace, "bob", PASSPHRASE).key == office.people["bob"].key
    private = office.people["bob"].private.private_bytes_raw()
    assert private.hex().encode() not in (folder / "bob.json").read_bytes()
    # Another's file under one's own name is no way to their key, either.
    (folder / "ann.json").write_bytes((folder / "bob.json").read_bytes())
    with pytest.raises(PolicyError):
        unlock(office.workspace, "ann", PASSPHRASE)
    with pytest.raises(UsageError, match="no name"):
        unlock(office.workspace, "../bob", PASSPHRASE)


def test_a_signer_who_is_not_enrolled_or_has_another_key_is_refused(office: Office) -> None:
    case = _proposed(office)
    impostor = Signer("bob", office.people["cyd"].private)
    with pytest.raises(PolicyError, match="not signed by the key of bob"):
        decide(office.workspace, impostor, [case], Decision.APPROVE, reason="x")
    with pytest.raises(UsageError, match="no reviewer zoe"):
        decide(office.workspace, Signer("zoe", impostor.private), [case], Decision.APPROVE, reason="x")


# -- stale -----------------------------------------------------------------------------------------------------------


def test_an_approval_is_of_the_cluster_as_it_was_proposed(office: Office, tmp_path: Path) -> None:
    case, other = _proposed(office), _proposed(office, place=1)
    late = make_tables(5, loners=0)
    ring = office.cluster().members["account_id"].iloc[0].partition("-")[0]
    events = [
        {**row, "event_id": f"late-{row['event_id']}"} for row in late["events"] if row["account_id"].startswith(ring)
    ]
    pipeline.ingest_drop(office.workspace, [write_drop(tmp_path / "late", {"events": events})])
    pipeline.run_detection(office.workspace, seed=1)
    table = review_queue(pipeline.load_run(office.workspace), load_book(office.workspace)).set_index("case_id")
    assert table.loc[case, "stale"]
    with pytest.raises(PolicyError, match="stale") as refused:
        _decide(office, "bob", case, "approve")
    assert refused.value.exit_code == 5
    # A bulk approval of a stale and a fresh case is refused whole.
    if not table.loc[other, "stale"]:
        with pytest.raises(PolicyError, match="stale"):
            decide(office.workspace, office.people["bob"], [other, case], Decision.APPROVE, reason="x")
        assert load_book(office.workspace).case(other).state == State.PROPOSED
    propose(office.workspace, office.people["ann"], [case], action=Action.SUSPEND, reason="looked again")
    assert _decide(office, "bob", case, "approve") == State.APPROVED


def test_a_run_whose_files_were_changed_is_seen(office: Office) -> None:
    case = _proposed(office)
    run = pipeline.load_run(office.workspace)
    assert {digest_of(pipeline.load_cluster(office.workspace, name, run)) for name in office.clusters} == {
        *run.clusters["digest"]
    }
    path = office.workspace.runs_dir / run.record.run_id / "members.parquet"
    members = pd.read_parquet(path)
    more = members.iloc[[0]].assign(account_id="loner1", cluster_id=office.clusters[0])
    pd.concat([members, more]).to_parquet(path, index=False)
    with pytest.raises(RingwatchError, match="holds another cluster"):
        current_cluster(office.workspace, office.clusters[0])
    with pytest.raises(RingwatchError, match="holds another cluster"):
        _decide(office, "bob", case, "approve")


def test_what_was_not_seen_is_not_decided_on(office: Office) -> None:
    case = _proposed(office)
    head = load_book(office.workspace).case(case).head
    propose(office.workspace, office.people["ann"], [case], action=Action.REFER, reason="harsher, meanwhile")
    for seen in (head, head[:16], "", "00000000"):
        with pytest.raises(PolicyError, match="has gone on since"):
            _decide(office, "bob", case, "approve", seen=seen)
    now_seen = load_book(office.workspace).case(case).head[:16]
    assert _decide(office, "bob", case, "approve", seen=now_seen) == State.APPROVED


# -- past the command: editing the state of record -------------------------------------------------------------------


def _rewritten(office: Office, change: Callable[[list[Entry]], list[Entry]]) -> None:
    """The audit log as somebody writes it who has the workspace's own key, so that the chain and the seals hold."""
    path = office.workspace.audit_path
    entries = change(audit.read(path))
    path.unlink()
    path.touch()
    with appending(path) as log:
        for entry in entries:
            fields = {name: value for name, value in entry.items() if name not in ("previous", "hash", "seal")}
            log.add(fields.pop("action"), fields, moment=pd.Timestamp(fields.pop("time")).to_pydatetime())
        log.flush()
    audit.verify(path)


def _with(entry: Entry, entries: list[Entry]) -> list[Entry]:
    return [*entries, entry]


def _forged(office: Office, case: str, **changes: Any) -> Entry:
    """An approval that nobody who may has signed."""
    state = load_book(office.workspace).case(case)
    return {
        "time": now().isoformat(), "action": "case-decide", "case_id": case, "decision": "approve", "reason": "x",
        "digest": state.digest, "workspace": office.workspace.current().workspace_id, "after": state.head,
        "actor": "bob", "key": office.people["bob"].key, **changes,
    }  # fmt: skip


def test_an_approval_written_into_the_log_by_the_proposer_is_found(office: Office) -> None:
    case = _proposed(office, by="cyd")
    cyd = office.people["cyd"]
    forged = [
        _forged(office, case, signature="0" * 128),  # bob's name, nobody's signature
        (said := _forged(office, case)) | {"signature": cyd.sign(said)},  # bob's name, cyd's signature
        (said := _forged(office, case, actor="cyd", key=cyd.key)) | {"signature": cyd.sign(said)},  # cyd's own
    ]
    for entry, why in zip(forged, ("not signed", "not signed", "cyd proposed"), strict=True):
        _rewritten(office, partial(_with, entry))
        with pytest.raises(RingwatchError, match=f"breaks the rules of review: .*{why}"):
            verify(office.workspace)
        with pytest.raises(RingwatchError, match="breaks the rules"):
            load_book(office.workspace)
        _rewritten(office, lambda entries: entries[:-1])


def test_a_second_name_of_ones_own_key_written_into_the_log_is_found(office: Office) -> None:
    cyd, workspace_id = office.people["cyd"], office.workspace.current().workspace_id
    said = {
        "time": now().isoformat(), "action": "reviewer-add", "name": "second", "role": "reviewer",
        "public_key": cyd.key, "workspace": workspace_id, "after": load_book(office.workspace).people_head,
        "actor": "root", "key": office.people["root"].key,
    }  # fmt: skip
    for signer, why in (("root", "another reviewer's"), ("cyd", "another reviewer's")):
        entry = {**said, "signature": office.people[signer].sign(said)}
        _rewritten(office, partial(_with, entry))
        with pytest.raises(RingwatchError, match=why):
            verify(office.workspace)
        _rewritten(office, lambda entries: entries[:-1])
    fresh = Signer("second", Ed25519PrivateKey.generate())
    said |= {"public_key": fresh.key}
    entry = {**said, "signature": fresh.sign(said)}
    _rewritten(office, lambda entries: [*entries, entry])
    with pytest.raises(RingwatchError, match="not signed by the key of root"):
        verify(office.workspace)


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: [one for one in entries if one.get("decision") != "return"],
        lambda entries: [
            {**one, "actions": dict.fromkeys(one["actions"], "refer")} if one["action"] == "case-propose" else one
            for one in entries
        ],
        lambda entries: [{**one, "reason": "other words"} if one.get("decision") else one for one in entries],
        lambda entries: [one for one in entries if one["action"] != "reviewer-retire"],
        lambda entries: [*entries[:-2], entries[-1], entries[-2]],
        lambda entries: [*entries, entries[-1]],
    ],
)
def test_history_written_anew_with_the_workspaces_key_is_found(
    office: Office, change: Callable[[list[Entry]], list[Entry]]
) -> None:
    retire(office.workspace, "dee", by=office.people["root"], reason="left")
    enrol(office.workspace, "eva", Role.REVIEWER, PASSPHRASE, by=office.people["root"])
    case = _proposed(office)
    _decide(office, "bob", case, "return")
    propose(office.workspace, office.people["ann"], [case], action=Action.LIMIT, reason="milder")
    _decide(office, "bob", case, "approve")
    verify(office.workspace)
    _rewritten(office, change)
    with pytest.raises(RingwatchError, match="breaks the rules of review"):
        verify(office.workspace)


# -- bulk ------------------------------------------------------------------------------------------------------------


def test_a_job_on_several_cases_keeps_its_context_and_is_undone(office: Office) -> None:
    workspace, people = office.workspace, office.people
    opened = open_cases(workspace, people["ann"], office.clusters[:3], reason="the ring of march")
    names = [case.case_id for case in opened.cases]
    assert names == ["case-1", "case-2", "case-3"]
    propose(workspace, people["ann"], names, action=Action.LIMIT, reason="all alike")
    done = decide(workspace, people["bob"], names, Decision.REJECT, reason="a hackathon")
    assert done.job is not None
    assert done.can_be_undone and not opened.can_be_undone
    for case in done.cases:
        assert case.events[-1]["job"] == {"id": done.job, "cases": 3, "reason": "a hackathon"}
        assert {label for label, _ in case.labels.values()} == {"benign"}
    with pytest.raises(PolicyError, match="undoes only their own"):
        undo(workspace, people["ann"], done.job, reason="mine to keep")
    back, moved = undo(workspace, people["cyd"], done.job, reason="it was no hackathon")
    assert [case.state for case in back.cases] == [State.PROPOSED] * 3
    assert all(not case.labels for case in back.cases)
    assert moved == []
    with pytest.raises(UsageError, match="can be undone"):
        undo(workspace, people["cyd"], done.job, reason="again")
    with pytest.raises(UsageError, match="no job"):
        undo(workspace, people["cyd"], "job-00000000", reason="x")
    # Still two people: what is back in `proposed` is not approved by whoever proposed it.
    with pytest.raises(PolicyError):
        decide(workspace, people["ann"], names, Decision.APPROVE, reason="x")
    third = decide(workspace, people["bob"], names, Decision.APPROVE, reason="one ring")
    record_export(workspace, names[0], third.cases[0].digest, "f" * 64)
    assert third.job is not None
    back, moved = undo(workspace, people["bob"], third.job, reason="too fast")
    assert [case.case_id for case in back.cases] == names[1:]
    assert moved == names[:1]
    verify(workspace)


def test_of_a_cluster_one_case_goes_on_at_a_time_whatever_is_taken_back(office: Office) -> None:
    workspace, people = office.workspace, office.people
    names = [_proposed(office), _proposed(office, place=1)]
    done = decide(workspace, people["bob"], names, Decision.REJECT, reason="a hackathon")
    again = open_cases(workspace, people["ann"], [office.clusters[0]]).cases[0].case_id
    assert done.job is not None
    back, moved = undo(workspace, people["cyd"], done.job, reason="it was no hackathon")
    assert ([case.case_id for case in back.cases], moved) == (names[1:], names[:1])
    assert [case.case_id for case in load_book(workspace).cases.values() if case.active] == [names[1], again]


def test_what_was_left_out_with_a_proposal_is_taken_back_with_it(office: Office) -> None:
    workspace, people = office.workspace, office.people
    one = office.cluster().members["account_id"].iloc[0]
    done = propose(
        workspace, people["ann"], office.clusters[:2], action=Action.LIMIT, reason="x", exclude={one: "a school"}
    )
    assert [case.state for case in done.cases] == [State.PROPOSED] * 2, "clusters without a case are opened with it"
    assert done.cases[0].excluded == {one: "a school"} and done.job is not None
    back, _ = undo(workspace, people["ann"], done.job, reason="y")
    assert [(case.state, dict(case.excluded)) for case in back.cases] == [(State.OPEN, {})] * 2
    verify(workspace)


def test_a_proposal_that_is_refused_opens_nothing(office: Office) -> None:
    everybody = dict.fromkeys(office.cluster().members["account_id"], "a school")
    with pytest.raises(UsageError, match="an action for every member"):
        propose(
            office.workspace, office.people["ann"], office.clusters[:1], action=Action.LIMIT, reason="x",
            exclude=everybody,
        )  # fmt: skip
    assert not load_book(office.workspace).cases


@pytest.mark.parametrize("state", ["open", "proposed", "returned", "approved"])
def test_what_is_closed_judges_nobody_and_the_cluster_is_as_it_was(office: Office, state: str) -> None:
    before = review_queue(pipeline.load_run(office.workspace), load_book(office.workspace))
    if state == "open":
        case = open_cases(office.workspace, office.people["ann"], office.clusters[:1]).cases[0].case_id
    else:
        case = _approved(office) if state == "approved" else _proposed(office)
    if state == "returned":
        _decide(office, "bob", case, "return")
    assert _decide(office, "ann", case, "close") == State.CLOSED
    closed = load_book(office.workspace).case(case)
    assert not closed.active and not closed.labels and not closed.actions
    after = review_queue(pipeline.load_run(office.workspace), load_book(office.workspace))
    pd.testing.assert_frame_equal(before, after)
    with pytest.raises(UsageError, match="is closed"):
        _decide(office, "bob", case, "approve")
    assert _proposed(office) == "case-2"
    verify(office.workspace)


def test_a_job_is_done_whole_or_not_at_all(office: Office) -> None:
    one, two = _proposed(office), _proposed(office, place=1, by="bob")
    with pytest.raises(PolicyError, match="bob proposed"):
        decide(office.workspace, office.people["bob"], [one, two], Decision.APPROVE, reason="both")
    assert load_book(office.workspace).case(one).state == State.PROPOSED


# -- the queue -------------------------------------------------------------------------------------------------------


def test_the_queue_has_what_prevents_most_harm_a_minute_first(office: Office) -> None:
    run = pipeline.load_run(office.workspace)
    table = review_queue(run, load_book(office.workspace))
    assert set(table["state"]) == {"new"}
    assert table["harm_per_minute"].is_monotonic_decreasing
    assert set(table["cluster_id"]) == set(office.clusters)
    row = table.iloc[0]
    assert row["harm_per_minute"] == pytest.approx(row["expected_harm"] / row["minutes"], abs=1e-3)
    first, second = office.clusters[:2]
    case = _proposed(office)
    table = review_queue(run, load_book(office.workspace)).set_index("cluster_id")
    assert (table.loc[first, "case_id"], table.loc[first, "state"]) == (case, "proposed")
    assert not table["stale"].any()
    _decide(office, "bob", case, "reject")
    table = review_queue(run, load_book(office.workspace))
    assert first not in set(table["cluster_id"]), "decided, and unchanged since"
    assert second in set(table["cluster_id"])


def test_an_old_operation_waits_behind_one_that_is_at_work(office: Office) -> None:
    run = pipeline.load_run(office.workspace)
    first, second = office.clusters[:2]
    days = run.timeline["day"]
    old = run.timeline.assign(day=days.where(run.timeline["cluster_id"] != first, days - pd.Timedelta(days=90)))
    before, after = (
        review_queue(one, load_book(office.workspace)).set_index("cluster_id")["expected_harm"]
        for one in (run, replace(run, timeline=old))
    )
    assert after[first] < 0.1 * before[first]
    assert after[second] > 0


def test_a_case_whose_cluster_is_gone_stays_in_the_queue(office: Office) -> None:
    case = _proposed(office)
    run = pipeline.load_run(office.workspace)
    without = replace(run, clusters=run.clusters[run.clusters["cluster_id"] != office.clusters[0]])
    table = review_queue(without, load_book(office.workspace)).set_index("case_id")
    assert table.loc[case, "stale"]
    assert table.loc[case, "cluster_digest"] == load_book(office.workspace).case(case).digest


# -- one writer ------------------------------------------------------------------------------------------------------


def test_a_second_writer_waits_and_then_is_told(office: Office) -> None:
    with appending(office.workspace.audit_path), pytest.raises(BusyError):
        open_cases(office.workspace, office.people["ann"], office.clusters[:1], wait=0.0)


def test_reviewing_goes_on_while_the_workspace_is_written(office: Office) -> None:
    with office.workspace.writer():
        case = _approved(office)
    assert load_book(office.workspace).case(case).state == State.APPROVED


def test_entries_are_what_json_has(office: Office) -> None:
    _approved(office)
    for line in office.workspace.audit_path.read_text().splitlines():
        assert json.loads(line)["seal"]
