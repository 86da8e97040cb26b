"""Whatever people try, in whatever order: nobody is acted on but by two, and nobody who was left out."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringwatch.errors import RingwatchError
from ringwatch.review import Action, Book, Case, Decision, Role, Signer, State, verdict_labels
from ringwatch.review.cases import fold

PEOPLE = {"root": Role.ADMIN, "ann": Role.ANALYST, "bob": Role.REVIEWER, "cyd": Role.REVIEWER, "dee": Role.REVIEWER}
KEYS = {
    name: Signer(name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))
    for name in PEOPLE
}
MEMBERS = ("a", "b", "c")
ACTED = (
    State.APPROVED,
    State.EXPORTED,
    State.APPLIED,
    State.APPEALED,
    State.UPHELD,
    State.OVERTURNED,
    State.REVERSED,
)

people = st.sampled_from(sorted(PEOPLE))
cases = st.sampled_from(["case-1", "case-2"])
members = st.sampled_from(MEMBERS)


class Office(RuleBasedStateMachine):
    """People who try everything on two clusters; what is refused leaves the book as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book("w")
        self.log: list[dict[str, Any]] = []
        self.numbers = itertools.count()
        self.jobs = 0

    def say(self, actor: str | None, action: str, key: str | None = None, **fields: Any) -> bool:
        """Writes an entry, where the rules take it."""
        number = next(self.numbers)
        said: dict[str, Any] = {
            "time": f"2026-03-01T00:{number // 60 % 60:02}:{number % 60:02}+00:00", "action": action, **fields,
            "workspace": "w", "after": self.book.after(fields),
        }  # fmt: skip
        if actor is not None:
            said |= {"actor": actor, "key": KEYS[actor].key}
            said["signature"] = KEYS[key or actor].sign(said)
        entry = {**said, "previous": "", "hash": f"h{number}", "seal": ""}
        before = dict(self.book.cases)
        try:
            self.book.advance(entry)
        except RingwatchError:
            assert self.book.cases == before, "what is refused changes nothing"
            return False
        self.log.append(entry)
        return True

    @initialize()
    def enrol(self) -> None:
        for name, role in PEOPLE.items():
            fields = {"name": name, "role": str(role), "public_key": KEYS[name].key}
            assert self.say("root", "reviewer-add", **fields)
        for number, cluster in enumerate(("c1", "c2"), start=1):
            self.say(
                "ann", "case-open", case_id=f"case-{number}", cluster_id=cluster, digest=f"d-{cluster}", run_id="r",
                members=list(MEMBERS), excluded={},
            )  # fmt: skip

    @rule(who=people, case=cases, action=st.sampled_from(Action), digest=st.sampled_from(["d", "e"]))
    def propose(self, who: str, case: str, action: Action, digest: str) -> None:
        actions = {name: str(action) for name in MEMBERS if name not in self.book.case(case).excluded}
        self.say(
            who, "case-propose", case_id=case, digest=digest, run_id="r", members=list(MEMBERS), actions=actions,
            reason="x", job={"id": "job-p", "cases": 2, "reason": "x"},
        )  # fmt: skip

    @rule(who=people, case=cases, decision=st.sampled_from(Decision), digest=st.sampled_from(["d", "e"]), of=members)
    def decide(self, who: str, case: str, decision: Decision, digest: str, of: str) -> None:
        before = self.book.case(case)
        taken = self.say(
            who, "case-decide", case_id=case, decision=str(decision), digest=digest, accounts=[of], stands=False,
            reason="x", job={"id": "job-d", "cases": 2, "reason": "x"},
        )  # fmt: skip
        if taken and decision is Decision.APPROVE:
            assert before.state is State.PROPOSED
            assert digest == before.digest
            assert who not in ("root", "ann", before.proposer)
        if taken and decision is Decision.UPHOLD:
            assert who not in (before.proposer, before.approver)

    @rule(who=people, case=cases, account=members, back=st.booleans())
    def narrow(self, who: str, case: str, account: str, back: bool) -> None:
        action = "case-include" if back else "case-exclude"
        self.say(who, action, case_id=case, account=account, reason="a school")

    @rule(who=people, case=cases, job=st.sampled_from(["job-p", "job-d"]))
    def undo(self, who: str, case: str, job: str) -> None:
        self.say(who, "case-undo", case_id=case, undoes=job, reason="x")

    @rule(case=cases, digest=st.sampled_from(["d", "e"]))
    def export(self, case: str, digest: str) -> None:
        self.say(None, "case-export", case_id=case, digest=digest, manifest="m")

    @rule(who=people, key=people, case=cases)
    def forge(self, who: str, key: str, case: str) -> None:
        if who != key:
            digest = self.book.case(case).digest
            assert not self.say(
                who, "case-decide", key=key, case_id=case, decision="approve", digest=digest, reason="x"
            )

    @invariant()
    def two_people_stand_behind_whoever_is_acted_on(self) -> None:
        for case in self.book.cases.values():
            assert not set(case.actions) & set(case.excluded)
            assert set(case.labels) <= set(case.actions), "who is left out has no label of the case"
            if case.state in ACTED:
                assert case.proposer and case.approver
                assert case.proposer != case.approver
                assert case.proposer_key != case.approver_key
                assert PEOPLE[case.approver] is Role.REVIEWER
                assert self._agreed(case)

    def _agreed(self, case: Case) -> bool:
        """Whether each action was in a proposal that its second reviewer saw: the newest before the approval."""
        proposed = [one for one in case.events if one["action"] == "case-propose" and one["actor"] == case.proposer]
        return any(all(one["actions"].get(name) == act for name, act in case.actions.items()) for one in proposed)

    @invariant()
    def the_log_tells_the_same_when_it_is_read_again(self) -> None:
        again = fold("w", self.log)
        assert {name: case.document() for name, case in again.cases.items()} == {
            name: case.document() for name, case in self.book.cases.items()
        }

    @invariant()
    def labels_end_as_the_cases_stand(self) -> None:
        rows = verdict_labels(self.book)
        for case in self.book.cases.values():
            mine = rows[rows["source"].str.startswith(f"ringwatch:{case.case_id}:")]
            last = mine.groupby("account_id")["label"].last()
            stand = {name: label for name, label in last.items() if label != "withdrawn"}
            assert stand == {name: label for name, (label, _) in case.labels.items()}


TestOffice = Office.TestCase
TestOffice.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
