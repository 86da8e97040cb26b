"""Cases and reviewers as the audit log tells of them: what may follow what, and who may do it.

Pure: entries in, state out. Whoever writes, reads or verifies goes through `Book.advance`, so what cannot be written
cannot be read either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ringwatch.audit import Entry
from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.review.reviewers import Reviewer, Role, check_name, signed_by


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    PROPOSED = "proposed"
    RETURNED = "returned"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPORTED = "exported"
    APPLIED = "applied"
    REVERSED = "reversed"
    APPEALED = "appealed"
    UPHELD = "upheld"
    OVERTURNED = "overturned"
    CLOSED = "closed"


class Action(StrEnum):
    """What is to be done about an account, mildest first; refer: to the police or another provider."""

    MONITOR = "monitor"
    LIMIT = "limit"
    SUSPEND = "suspend"
    REFER = "refer"


class Decision(StrEnum):
    """What a reviewer says of a case. The first three need another person than the proposer; uphold needs one who
    neither proposed nor approved. To close is no verdict: the case was opened in error, or its cluster is gone."""

    APPROVE = "approve"
    RETURN = "return"
    REJECT = "reject"
    APPLY = "apply"
    REVERSE = "reverse"
    APPEAL = "appeal"
    UPHOLD = "uphold"
    OVERTURN = "overturn"
    CLOSE = "close"


Label = tuple[str, str]
"""What a verdict says of an account: `abusive` or `benign`, and what it rests on: `detector` (a person judged what
the detector had put in front), `appeal` (the account's holder was heard) or `outcome` (what came of the action)."""

_MAY_CHANGE = (State.OPEN, State.PROPOSED, State.RETURNED, State.APPROVED)
_ACTED = (State.EXPORTED, State.APPLIED, State.APPEALED, State.UPHELD, State.OVERTURNED)
_FROM: dict[Decision, tuple[State, ...]] = {
    Decision.APPROVE: (State.PROPOSED,),
    Decision.RETURN: (State.PROPOSED,),
    Decision.REJECT: (State.PROPOSED,),
    Decision.APPLY: (State.EXPORTED,),
    Decision.REVERSE: _ACTED,
    Decision.APPEAL: _ACTED,
    Decision.UPHOLD: (State.APPEALED,),
    Decision.OVERTURN: (State.APPEALED,),
    Decision.CLOSE: _MAY_CHANGE,
}
_TO = {
    Decision.APPROVE: State.APPROVED,
    Decision.RETURN: State.RETURNED,
    Decision.REJECT: State.REJECTED,
    Decision.APPLY: State.APPLIED,
    Decision.REVERSE: State.REVERSED,
    Decision.APPEAL: State.APPEALED,
    Decision.UPHOLD: State.UPHELD,
    Decision.OVERTURN: State.OVERTURNED,
    Decision.CLOSE: State.CLOSED,
}
_BY_ANALYSTS = (Decision.APPLY, Decision.APPEAL, Decision.CLOSE)
"""Decisions that only note what happened elsewhere, or judge nobody."""

_ACTIVE = (State.OPEN, State.PROPOSED, State.RETURNED, State.APPROVED, State.EXPORTED, State.APPEALED)
_UNDONE = (Decision.APPROVE, Decision.RETURN, Decision.REJECT)

_NONE: Mapping[str, Any] = MappingProxyType({})
NOT_SIGNED = ("signature", "previous", "hash", "seal")
"""Fields of an entry that its reviewer's signature does not cover: they come after it."""


@dataclass(frozen=True)
class Case:
    """A case after its newest event.

    `digest` is that of the cluster as it was opened or last proposed, `members` its accounts then; `excluded` account
    → reason; `actions` account → action, of the standing proposal; `appeals` account → open, upheld or overturned;
    `labels` what the verdict says of accounts; `head` the hash of the newest event, `events` all of them, `before`
    the case without the newest.
    """

    case_id: str
    cluster_id: str
    digest: str
    run_id: str
    state: State
    members: tuple[str, ...]
    opened_at: str
    changed_at: str
    head: str
    events: tuple[Entry, ...]
    excluded: Mapping[str, str] = field(default_factory=lambda: _NONE)
    actions: Mapping[str, str] = field(default_factory=lambda: _NONE)
    appeals: Mapping[str, str] = field(default_factory=lambda: _NONE)
    labels: Mapping[str, Label] = field(default_factory=lambda: _NONE)
    proposer: str | None = None
    proposer_key: str | None = None
    approver: str | None = None
    approver_key: str | None = None
    before: Case | None = None

    @property
    def active(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.state in _ACTIVE

    @property
    def acted_on(self) -> list[str]:
        """The accounts that something is to be done about, not those that are only watched."""
        return [account for account, action in self.actions.items() if action != Action.MONITOR]

    def steps(self) -> Iterator[Case]:
        """The case after each of its events, newest first."""
        step: Case | None = self
        while step is not None:
            yield step
            step = step.before

    def document(self) -> dict[str, Any]:
        return {
            "case_id": self.case_id,
            "state": str(self.state),
            "cluster_id": self.cluster_id,
            "cluster_digest": self.digest,
            "run_id": self.run_id,
            "members": len(self.members),
            "actions": dict(self.actions),
            "excluded": dict(self.excluded),
            "appeals": dict(self.appeals),
            "proposer": self.proposer,
            "approver": self.approver,
            "opened_at": self.opened_at,
            "changed_at": self.changed_at,
            "head": self.head,
        }


@dataclass
class Book:
    """All reviewers and cases of a workspace. `people_head` is the hash of the newest entry on reviewers."""

    workspace_id: str
    reviewers: dict[str, Reviewer] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    people_head: str = ""

    def reviewer(self, name: str) -> Reviewer:
        """A reviewer who may still sign.

        Raises:
            UsageError: there is none of that name.
            PolicyError: they are retired.
        """
        if name not in self.reviewers:
            raise UsageError(f"There is no reviewer {name}.", hint="`ringwatch review reviewer list` names them.")
        if self.reviewers[name].retired:
            raise PolicyError(f"{name} is retired since {self.reviewers[name].retired}.", hint="Sign as another.")
        return self.reviewers[name]

    def case(self, case_id: str) -> Case:
        """The case of this id.

        Raises:
            UsageError: there is none.
        """
        if case_id not in self.cases:
            raise UsageError(f"There is no case {case_id}.", hint="`ringwatch review queue` names them.")
        return self.cases[case_id]

    def of_cluster(self, cluster_id: str) -> list[Case]:
        """The cases of a cluster, oldest first."""
        return [case for case in self.cases.values() if case.cluster_id == cluster_id]

    def after(self, entry: Mapping[str, Any]) -> str:
        """The hash of the entry that one of this kind follows: the case's newest, or the newest on reviewers."""
        if "case_id" not in entry:
            return self.people_head
        case = self.cases.get(entry["case_id"])
        return case.head if case else ""

    def advance(self, entry: Entry) -> None:
        """Takes the next entry of the audit log; those of other kinds are passed over.

        Raises:
            PolicyError: a rule forbids it. UsageError: it does not fit what was before.
        """
        take = _KINDS.get(entry["action"])
        if take is not None:
            if entry["workspace"] != self.workspace_id:
                raise PolicyError("It is of another workspace.")
            if entry["after"] != self.after(entry):
                raise PolicyError("It does not follow what it was signed to follow.")
            take(self, entry)

    def signer(self, entry: Entry, *roles: Role) -> Reviewer:
        """Who signed an entry, and may.

        Raises:
            PolicyError: nobody who may has signed it.
        """
        reviewer = self.reviewer(entry["actor"])
        said = {name: value for name, value in entry.items() if name not in NOT_SIGNED}
        if entry["key"] != reviewer.key or not signed_by(reviewer.key, entry["signature"], said):
            raise PolicyError(f"It is not signed by the key of {reviewer.name}.")
        if reviewer.role not in roles:
            raise PolicyError(
                f"{reviewer.name} is {reviewer.role}, and this takes {' or '.join(roles)}.",
                hint="Sign as a reviewer who may.",
            )
        return reviewer


def fold(workspace_id: str, entries: Iterable[Entry]) -> Book:
    """The book after all entries of an audit log.

    Raises:
        RingwatchError: one of them could not have been written by the rules.
    """
    book = Book(workspace_id)
    for number, entry in enumerate(entries, start=1):
        try:
            book.advance(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RingwatchError(
                f"Line {number} of the audit log is no {entry.get('action')}.", hint="Compare it with a backup."
            ) from error
        except RingwatchError as error:
            raise RingwatchError(
                f"Line {number} of the audit log breaks the rules of review: {error.message}",
                hint="It was written past ringwatch. Compare it with a backup; act on no case until it is explained.",
            ) from error
    return book


# -- what each entry does --------------------------------------------------------------------------------------------


def check_newcomer(book: Book, name: str, role: Role) -> None:
    """Whether somebody of that name may be enrolled next.

    Raises:
        UsageError: it is no name, or was given before; or they would be the first, and no admin.
    """
    if check_name(name).casefold() in {known.casefold() for known in book.reviewers}:
        raise UsageError(f"There is or was a reviewer {name}.", hint="A name is given once: choose another.")
    if not book.reviewers and role is not Role.ADMIN:
        raise UsageError(
            "The first to be enrolled is an admin, who enrols the others and decides nothing.",
            hint="`ringwatch review reviewer add NAME --role admin`.",
        )


def _enrol(book: Book, entry: Entry) -> None:
    name, role, key = entry["name"], Role(entry["role"]), entry["public_key"]
    check_newcomer(book, name, role)
    if key in {one.key for one in book.reviewers.values()}:
        raise PolicyError("That key is another reviewer's.", hint="One person has one name.")
    new = Reviewer(name, role, key, entry["actor"], entry["time"])
    if not book.reviewers:
        book.reviewers[name] = new  # who signs for themselves
    book.signer(entry, Role.ADMIN)
    book.reviewers[name] = new
    book.people_head = entry["hash"]


def _retire(book: Book, entry: Entry) -> None:
    book.signer(entry, Role.ADMIN)
    gone = book.reviewer(entry["name"])
    admins = [one for one in book.reviewers.values() if one.role is Role.ADMIN and not one.retired]
    if admins == [gone]:
        raise PolicyError(f"{gone.name} is the only admin.", hint="Enrol another first.")
    book.reviewers[gone.name] = replace(gone, retired=entry["time"])
    book.people_head = entry["hash"]


def _open(book: Book, entry: Entry) -> None:
    book.signer(entry, Role.ANALYST, Role.REVIEWER)
    case_id, members = entry["case_id"], tuple(entry["members"])
    if case_id != next_id(book):
        raise PolicyError(f"{case_id} is not the next case.")
    for case in book.of_cluster(entry["cluster_id"]):
        if not may_follow(case, entry["digest"]):
            raise UsageError(
                f"Cluster {case.cluster_id} has {case.case_id}, which is {case.state}.",
                hint=f"Go on with it: `ringwatch review history {case.case_id}`.",
            )
    excluded = dict(entry["excluded"])
    if not members or not set(excluded) <= set(members):
        raise UsageError("A case needs members, and only members are excluded.")
    book.cases[case_id] = Case(
        case_id, entry["cluster_id"], entry["digest"], entry["run_id"], State.OPEN, members, entry["time"],
        entry["time"], entry["hash"], (entry,), excluded=excluded,
    )  # fmt: skip


def next_id(book: Book) -> str:
    """The id of the next case."""
    return f"case-{len(book.cases) + 1}"


def _propose(book: Book, entry: Entry) -> None:
    signer = book.signer(entry, Role.ANALYST, Role.REVIEWER)
    case = _in(book, entry, "proposed", *_MAY_CHANGE)
    _said(entry)
    members = tuple(entry["members"])
    excluded = {account: why for account, why in case.excluded.items() if account in set(members)}
    actions = {account: str(Action(action)) for account, action in entry["actions"].items()}
    if not actions or set(actions) != set(members) - set(excluded):
        raise UsageError(
            "A proposal has an action for every member that is not excluded, and for nobody else.",
            hint="See the members by `ringwatch clusters show`.",
        )
    _put(
        book, case, entry, state=State.PROPOSED, digest=entry["digest"], run_id=entry["run_id"], members=members,
        excluded=excluded, actions=actions, proposer=signer.name, proposer_key=signer.key, approver=None,
        approver_key=None, labels=_NONE,
    )  # fmt: skip


def _exclude(book: Book, entry: Entry) -> None:
    book.signer(entry, Role.ANALYST, Role.REVIEWER)
    case = _in(book, entry, "narrowed", *_MAY_CHANGE)
    reason, account = _said(entry), entry["account"]
    if account not in case.members or account in case.excluded:
        raise UsageError(f"{account} is no member of {case.case_id}, or is excluded already.")
    actions = {name: action for name, action in case.actions.items() if name != account}
    if case.actions and not actions:
        raise UsageError("Nobody would be left.", hint="Have the case rejected, or returned.")
    labels = {name: label for name, label in case.labels.items() if name != account}
    _put(book, case, entry, excluded={**case.excluded, account: reason}, actions=actions, labels=labels)


def _include(book: Book, entry: Entry) -> None:
    book.signer(entry, Role.ANALYST, Role.REVIEWER)
    case = _in(book, entry, "widened", State.OPEN, State.RETURNED)
    _said(entry)
    if entry["account"] not in case.excluded:
        raise UsageError(f"{entry['account']} is not excluded from {case.case_id}.")
    excluded = {name: why for name, why in case.excluded.items() if name != entry["account"]}
    _put(book, case, entry, excluded=excluded)


def _decide(book: Book, entry: Entry) -> None:
    decision = Decision(entry["decision"])
    signer = book.signer(entry, *roles_for(decision))
    case = _in(book, entry, f"decided on by {decision}", *_FROM[decision])
    _said(entry)
    check_second(case, decision, signer)
    changes: dict[str, Any] = {"state": _TO[decision]}
    if decision is Decision.APPROVE:
        if entry["digest"] != case.digest:
            raise PolicyError(
                f"The cluster of {case.case_id} has changed since it was proposed.", hint="Have it proposed again."
            )
        changes |= {"approver": signer.name, "approver_key": signer.key}
        changes["labels"] = dict.fromkeys(case.acted_on, ("abusive", "detector"))
    elif decision is Decision.REJECT:
        changes["labels"] = dict.fromkeys(case.actions, ("benign", "detector"))
    elif decision is Decision.CLOSE:
        changes |= {"actions": _NONE, "labels": _NONE}
    elif decision is Decision.REVERSE:
        if not entry["stands"]:
            changes["labels"] = {**case.labels, **dict.fromkeys(case.actions, ("benign", "outcome"))}
    elif decision in (Decision.APPEAL, Decision.UPHOLD, Decision.OVERTURN):
        changes |= _appeal(case, decision, entry["accounts"])
    _put(book, case, entry, **changes)


def roles_for(decision: Decision) -> tuple[Role, ...]:
    """Who may decide so."""
    return (Role.REVIEWER, Role.ANALYST) if decision in _BY_ANALYSTS else (Role.REVIEWER,)


def check_second(case: Case, decision: Decision, who: Reviewer) -> None:
    """Nothing, where the rule of two persons lets `who` decide so.

    Raises:
        PolicyError: it does not.
    """
    if decision in _UNDONE and (who.name == case.proposer or who.key == case.proposer_key):
        raise PolicyError(
            f"{who.name} proposed {case.case_id} and cannot decide on it.", hint="A second reviewer must."
        )
    if decision is Decision.UPHOLD and who.name in (case.proposer, case.approver):
        raise PolicyError(
            f"{who.name} proposed or approved {case.case_id} and cannot uphold it against an appeal.",
            hint="A third reviewer must; overturning is open to every reviewer.",
        )


def choices(case: Case, who: Reviewer) -> dict[Decision, str]:
    """The decisions that a case is open to as it stands; with each why `who` may not take it, or nothing."""
    found = {}
    for decision in Decision:
        if case.state not in _FROM[decision]:
            continue
        found[decision] = ""
        if who.role not in roles_for(decision):
            found[decision] = f"{who.name} is {who.role}, and this takes {' or '.join(roles_for(decision))}."
        else:
            try:
                check_second(case, decision, who)
            except PolicyError as error:
                found[decision] = error.message
    return found


def may_follow(case: Case, digest: str) -> bool:
    """Whether another case of its cluster may be opened, which has this digest now: while a case is going on, and
    where the same was carried out already, none is."""
    return not case.active and (case.state not in (State.APPLIED, State.UPHELD) or case.digest != digest)


def may_propose(case: Case | None, who: Reviewer) -> bool:
    """Whether `who` may propose what is done about a case, or about a cluster that has none."""
    return who.role is not Role.ADMIN and (case is None or case.state in _MAY_CHANGE)


def history(case: Case) -> list[dict[str, Any]]:
    """What was done about a case, oldest first, for people to read."""
    return [
        {
            "time": entry["time"],
            "actor": entry.get("actor"),
            "what": deed(entry),
            "reason": entry.get("reason", ""),
            "account": entry.get("account"),
            "accounts": entry.get("accounts"),
            "digest": entry.get("digest"),
            "job": job_of(entry),
            "job_cases": entry.get("job", {}).get("cases"),
            "signed": "signature" in entry,
            "hash": entry["hash"],
        }
        for entry in case.events
    ]


def deed(entry: Entry) -> str:
    """What was done by an entry, in a word; a decision by its own."""
    return str(entry.get("decision", entry["action"].removeprefix("case-")))


def job_of(entry: Entry) -> str | None:
    """The id of the job that an entry is a part of, where it is one of several."""
    job: dict[str, Any] = entry.get("job", {})
    return job.get("id")


def _appeal(case: Case, decision: Decision, accounts: list[str]) -> dict[str, Any]:
    if not accounts or len(set(accounts)) != len(accounts):
        raise UsageError("An appeal is of accounts, each named once.", hint="Name them with --account.")
    appeals, labels = dict(case.appeals), dict(case.labels)
    for account in accounts:
        if decision is Decision.APPEAL:
            if account not in case.actions or account in appeals:
                raise UsageError(f"{account} is not acted on in {case.case_id}, or has appealed already.")
            appeals[account] = "open"
            continue
        if appeals.get(account) != "open":
            raise UsageError(f"{account} has no open appeal in {case.case_id}.")
        upheld = decision is Decision.UPHOLD
        appeals[account] = "upheld" if upheld else "overturned"
        labels[account] = ("abusive" if upheld else "benign", "appeal")
    still = "open" in appeals.values()
    return {"appeals": appeals, "labels": labels, **({"state": State.APPEALED} if still else {})}


def _export(book: Book, entry: Entry) -> None:
    case = _in(book, entry, "exported", State.APPROVED, State.EXPORTED, State.APPLIED)
    if entry["digest"] != case.digest:
        raise PolicyError(f"The cluster of {case.case_id} has changed since it was approved.")
    _put(book, case, entry, state=State.EXPORTED if case.state is State.APPROVED else case.state)


def _undo(book: Book, entry: Entry) -> None:
    signer = book.signer(entry, Role.ANALYST, Role.REVIEWER)
    case = book.case(entry["case_id"])
    _said(entry)
    if not may_undo(book, case, entry["undoes"]):
        raise UsageError(f"{case.case_id} has gone on since, or what was done cannot be undone.")
    last = case.events[-1]
    if signer.role is not Role.REVIEWER and signer.name != last["actor"]:
        raise PolicyError(f"{signer.name} is {signer.role} and undoes only their own.", hint="A reviewer may.")
    # What was left out with a proposal is a part of its job; that a case was opened stays.
    earlier = next(one for one in case.steps() if job_of(one.events[-1]) != entry["undoes"] or one.before is None)
    state = {name: getattr(earlier, name) for name in _UNDO_FIELDS}
    _put(book, case, entry, **state)


_UNDO_FIELDS = (
    "state", "digest", "run_id", "members", "excluded", "actions", "appeals", "labels", "proposer", "proposer_key",
    "approver", "approver_key",
)  # fmt: skip


def may_undo(book: Book, case: Case, job: str) -> bool:
    """Whether a job is the newest thing that happened to a case, and can be taken back: not where another case of the
    cluster was opened since, as only one of them goes on at a time."""
    last = case.events[-1]
    return job_of(last) == job and undoable(last) and book.of_cluster(case.cluster_id)[-1].case_id == case.case_id


def undoable(entry: Entry) -> bool:
    """Whether an entry of a bulk job can be taken back: proposals, and decisions that nobody has acted on."""
    return entry["action"] == "case-propose" or (
        entry["action"] == "case-decide" and Decision(entry["decision"]) in _UNDONE
    )


def _in(book: Book, entry: Entry, done: str, *states: State) -> Case:
    case = book.case(entry["case_id"])
    if case.state not in states:
        raise UsageError(
            f"{case.case_id} is {case.state} and cannot be {done}.",
            hint=f"That takes a case that is {' or '.join(states)}.",
        )
    return case


def _said(entry: Entry) -> str:
    """The reason of an entry.

    Raises:
        UsageError: there is none.
    """
    reason = str(entry["reason"]).strip()
    if not reason:
        raise UsageError("A decision needs a reason.", hint="Give one with --reason; the audit log keeps it.")
    return reason


def _put(book: Book, case: Case, entry: Entry, **changes: Any) -> None:
    book.cases[case.case_id] = replace(
        case, changed_at=entry["time"], head=entry["hash"], events=(*case.events, entry), before=case, **changes
    )


_KINDS: dict[str, Callable[[Book, Entry], None]] = {
    "reviewer-add": _enrol,
    "reviewer-retire": _retire,
    "case-open": _open,
    "case-propose": _propose,
    "case-exclude": _exclude,
    "case-include": _include,
    "case-decide": _decide,
    "case-export": _export,
    "case-undo": _undo,
}
"""Actions of the audit log that are of reviewers and cases, and what they do."""
