"""What reviewers do, one function each: look the cluster up as it is now, and write signed entries."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.graphs import Cluster
from ringwatch.graphs.naming import digest_clusters
from ringwatch.pipeline import Run, load_cluster, load_run
from ringwatch.review.cases import (
    Action,
    Book,
    Case,
    Decision,
    check_newcomer,
    job_of,
    may_undo,
    next_id,
    undoable,
)
from ringwatch.review.ledger import Draft, load_book, write
from ringwatch.review.reviewers import Reviewer, Role, Signer, make_key
from ringwatch.workspace import Workspace

LEAST_SEEN = 8
"""Hex digits of a head by which a case is known as it was looked at."""


@dataclass(frozen=True)
class Done:
    """The cases as they stand after something was done, and the job that it was a part of, where there were
    several."""

    cases: tuple[Case, ...]
    job: str | None = None

    @property
    def can_be_undone(self) -> bool:
        """Whether `undo` takes the job back: an opening stays, and so does what somebody has acted on."""
        return self.job is not None and undoable(self.cases[0].events[-1])


# -- reviewers -------------------------------------------------------------------------------------------------------


def enrol(
    workspace: Workspace, name: str, role: Role, passphrase: str, *, by: Signer | None = None, wait: float = 10.0
) -> Reviewer:
    """Enrols a reviewer and makes their key. The first is an admin and signs for themselves; `by` signs for others.

    Raises:
        UsageError: the name is taken, the passphrase too short, the first no admin, or a later one has no `by`.
        PolicyError: `by` is no admin.
    """
    book = load_book(workspace)
    check_newcomer(book, name, role)
    if book.reviewers and by is None:
        raise UsageError("An admin enrols reviewers.", hint="Name one with --by.")
    if by is not None and book.reviewer(by.name).role is not Role.ADMIN:
        raise PolicyError(f"{by.name} is no admin and enrols nobody.", hint="Name an admin with --by.")
    made = make_key(workspace, name, passphrase)
    fields = {"name": name, "role": str(role), "public_key": made.key}
    return write(workspace, by or made, lambda _: [("reviewer-add", fields)], wait=wait).reviewers[name]


def retire(workspace: Workspace, name: str, *, by: Signer, reason: str, wait: float = 10.0) -> Reviewer:
    """Ends what a reviewer may do; what they have signed stays valid.

    Raises:
        UsageError, PolicyError: `name` is no reviewer, or the only admin, or `by` is no admin.
    """
    fields = {"name": name, "reason": reason}
    return write(workspace, by, lambda _: [("reviewer-retire", fields)], wait=wait).reviewers[name]


# -- clusters as they are now ----------------------------------------------------------------------------------------


def current_cluster(workspace: Workspace, cluster_id: str, run: Run | None = None) -> Cluster:
    """A cluster of the newest run, its digest worked out again from what the run holds.

    Raises:
        UsageError: there is no run, or it has no such cluster.
        RingwatchError: the stored digest is not that of the members and the evidence: the run was changed.
    """
    cluster = load_cluster(workspace, cluster_id, run)
    if digest_of(cluster) != cluster.digest:
        raise RingwatchError(
            f"Run {cluster.run_id} holds another cluster {cluster_id} than the one it was given a digest of.",
            hint="Its files were changed. Run `ringwatch detect` again.",
        )
    return cluster


def digest_of(cluster: Cluster) -> str:
    """SHA-256 over account ids and evidence, as detection worked it out."""
    said = pd.concat([cluster.evidence, cluster.counter_evidence])[["layer", "text"]].assign(cluster=0)
    people = np.array(sorted(cluster.members["account_id"]), dtype=object)
    return digest_clusters(np.zeros(len(people), dtype=np.int64), people, said, 1)[0]


def standing_cluster(workspace: Workspace, case: Case, run: Run | None = None) -> Cluster:
    """The cluster of a case, where it is still what it was when the case was opened or last proposed.

    Raises:
        PolicyError: it has changed, or is gone.
    """
    try:
        cluster = current_cluster(workspace, case.cluster_id, run)
    except UsageError as error:
        raise PolicyError(
            f"The newest run has no cluster {case.cluster_id}: {case.case_id} is stale.",
            hint="Open a case of what became of it: `ringwatch clusters diff`.",
        ) from error
    if cluster.digest != case.digest:
        raise PolicyError(
            f"Cluster {case.cluster_id} has changed since {case.case_id} was opened or proposed: it is stale.",
            hint=f"Look at it again, and `ringwatch review propose {case.case_id}`.",
        )
    return cluster


# -- cases -----------------------------------------------------------------------------------------------------------


def open_cases(
    workspace: Workspace, signer: Signer, clusters: Sequence[str], *, reason: str = "", wait: float = 10.0
) -> Done:
    """Opens a case of each cluster of the newest run. Accounts that an earlier case excluded are excluded again.

    Raises:
        UsageError: there is no run or no such cluster, or it has a case that is not over.
    """
    run = load_run(workspace)
    found = [current_cluster(workspace, name, run) for name in dict.fromkeys(clusters)]
    job = _job(len(found), reason)
    made: list[str] = []

    def make(book: Book) -> Iterator[Draft]:
        known = _excluded_before(book)
        for cluster in found:
            made.append(next_id(book))
            yield _opening(made[-1], cluster, known, job)

    return _done(write(workspace, signer, make, wait=wait), made, job)


def _opening(case: str, cluster: Cluster, known: Mapping[str, str], job: Mapping[str, Any]) -> Draft:
    """The opening of a case of a cluster; `known`: accounts that are excluded again, and why."""
    members = sorted(cluster.members["account_id"])
    excluded = {name: known[name] for name in members if name in known}
    return "case-open", {
        "case_id": case, "cluster_id": cluster.cluster_id, "digest": cluster.digest, "run_id": cluster.run_id,
        "members": members, "excluded": excluded, **job,
    }  # fmt: skip


def _excluded_before(book: Book) -> dict[str, str]:
    """Accounts whose newest case excludes them, and why."""
    found: dict[str, str] = {}
    for case in book.cases.values():
        for account in case.members:
            why = case.excluded.get(account)
            if why is None:
                found.pop(account, None)
            else:
                found[account] = why if why.startswith("case-") else f"{case.case_id}: {why}"
    return found


def propose(
    workspace: Workspace,
    signer: Signer,
    cases: Sequence[str],
    *,
    action: Action,
    reason: str,
    actions: Mapping[str, Action] | None = None,
    exclude: Mapping[str, str] | None = None,
    seen: str | Mapping[str, str] | None = None,
    digest: str | Mapping[str, str] | None = None,
    wait: float = 10.0,
) -> Done:
    """Proposes what is to be done about each member of a case that is not excluded: `action`, or what `actions` says
    of it. `exclude`: accounts to be excluded first, and why; who is already, stays so. What was proposed or approved
    before is void. In the place of a case a cluster that has none may be named: it is opened with the proposal.

    `seen` and `digest`: the head of the one case, and the digest of its cluster, as the signer looked at them; of
    several cases by their ids.

    Raises:
        UsageError: no such case, or it is past proposing; an account is no member; no reason is given.
        PolicyError: the case has gone on, or the cluster has changed, since the signer looked at it.
    """
    run, names = load_run(workspace), list(dict.fromkeys(cases))
    book = load_book(workspace)
    listed = set(run.clusters["cluster_id"])
    clusters = {
        name: current_cluster(workspace, name if name in listed else book.case(name).cluster_id, run)
        for name in names
    }
    for name, cluster in clusters.items():
        looked_at = _of(digest, name)
        if looked_at is not None and cluster.digest != looked_at:
            raise PolicyError(
                f"Cluster {cluster.cluster_id} has changed since you looked at it for {name}.",
                hint="Look at it again; nothing was proposed.",
            )
    job = _job(len(names), reason)

    everybody = {account for cluster in clusters.values() for account in cluster.members["account_id"]}
    unknown = sorted({*(actions or {}), *(exclude or {})} - everybody)
    if unknown:
        raise UsageError(f"{unknown[0]} is no member of {' or '.join(names)}.", hint="`ringwatch clusters show`.")

    made: list[str] = []

    def make(book: Book) -> Iterator[Draft]:
        known = _excluded_before(book)
        for name in names:
            cluster, case_id = clusters[name], name
            if name == cluster.cluster_id:
                case_id = next_id(book)
                yield _opening(case_id, cluster, known, job)
            made.append(case_id)
            _check_seen(book.case(case_id), _of(seen, name))
            members = sorted(cluster.members["account_id"])
            for account in sorted(set(exclude or {}) & set(members) - set(book.case(case_id).excluded)):
                why = (exclude or {})[account]
                yield "case-exclude", {"case_id": case_id, "account": account, "reason": why, **job}
            said = {
                account: str((actions or {}).get(account, action))
                for account in members
                if account not in book.case(case_id).excluded
            }
            yield (
                "case-propose",
                {
                    "case_id": case_id, "digest": cluster.digest, "run_id": cluster.run_id, "members": members,
                    "actions": said, "reason": reason, **job,
                },
            )  # fmt: skip

    return _done(write(workspace, signer, make, wait=wait), made, job)


def exclude(
    workspace: Workspace, signer: Signer, case: str, account: str, *, reason: str, wait: float = 10.0
) -> Done:
    """Takes one member out of a case, for a reason. A case stays approved: what is left, two persons have agreed on.

    Raises:
        UsageError: the account is no member or excluded already, or the case is past it.
    """
    fields = {"case_id": case, "account": account, "reason": reason}
    return _done(write(workspace, signer, lambda _: [("case-exclude", fields)], wait=wait), [case], {})


def include(
    workspace: Workspace, signer: Signer, case: str, account: str, *, reason: str, wait: float = 10.0
) -> Done:
    """Takes an exclusion back, while nothing is proposed.

    Raises:
        UsageError: the account is not excluded, or the case is past it.
    """
    fields = {"case_id": case, "account": account, "reason": reason}
    return _done(write(workspace, signer, lambda _: [("case-include", fields)], wait=wait), [case], {})


def decide(
    workspace: Workspace,
    signer: Signer,
    cases: Sequence[str],
    decision: Decision,
    *,
    reason: str,
    accounts: Sequence[str] = (),
    stands: bool = False,
    seen: str | Mapping[str, str] | None = None,
    wait: float = 10.0,
) -> Done:
    """Decides on cases.

    Args:
        accounts: of an appeal; all that are acted on, or all whose appeal is open, unless some are named.
        stands: of a reversal: the action ends, and what was found of the accounts stays found.
        seen: the head of the one case as the signer looked at it, or how it begins; of several cases by their ids.
            What has gone on since is not decided on unseen.

    Raises:
        PolicyError: the signer proposed it, or may not decide; or the cluster has changed (approve); or the case has
            gone on since it was `seen`.
        UsageError: the case is not in a state for it.
    """
    names = list(dict.fromkeys(cases))
    job = _job(len(names), reason)
    book = load_book(workspace)
    if decision is Decision.APPROVE:
        run = load_run(workspace)
        for name in names:
            case = book.case(name)
            if case.actions:
                standing_cluster(workspace, case, run)

    def make(book: Book) -> Iterator[Draft]:
        for name in names:
            case = book.case(name)
            _check_seen(case, _of(seen, name))
            fields: dict[str, Any] = {"case_id": name, "decision": str(decision), "reason": reason, **job}
            if decision is Decision.APPROVE:
                fields["digest"] = case.digest
            if decision is Decision.REVERSE:
                fields["stands"] = stands
            if decision is Decision.APPEAL:
                fields["accounts"] = list(accounts) or sorted(set(case.actions) - set(case.appeals))
            if decision in (Decision.UPHOLD, Decision.OVERTURN):
                fields["accounts"] = list(accounts) or sorted(
                    account for account, state in case.appeals.items() if state == "open"
                )
            yield "case-decide", fields

    return _done(write(workspace, signer, make, wait=wait), names, job)


def _of(said: str | Mapping[str, str] | None, case: str) -> str | None:
    return said if said is None or isinstance(said, str) else said.get(case, "")


def _check_seen(case: Case, seen: str | None) -> None:
    if seen is not None and (len(seen) < LEAST_SEEN or not case.head.startswith(seen)):
        raise PolicyError(
            f"{case.case_id} has gone on since you looked at it.",
            hint=f"Look again: `ringwatch review history {case.case_id}`.",
        )


def undo(
    workspace: Workspace, signer: Signer, job: str, *, reason: str, wait: float = 10.0
) -> tuple[Done, list[str]]:
    """Takes back a bulk job where it is the newest thing that happened to a case; the cases that have gone on since.

    Raises:
        UsageError: there is no such job, or nothing of it can be undone.
    """
    names: list[str] = []
    moved: list[str] = []

    def make(book: Book) -> Iterator[Draft]:
        for case in list(book.cases.values()):
            if any(job_of(entry) == job for entry in case.events):
                (names if may_undo(book, case, job) else moved).append(case.case_id)
        if not names:
            raise UsageError(
                f"Nothing of a job {job} can be undone." if moved else f"There is no job {job}.",
                hint="`ringwatch review history CASE` names the jobs of a case.",
            )
        for name in names:
            yield "case-undo", {"case_id": name, "undoes": job, "reason": reason}

    return _done(write(workspace, signer, make, wait=wait), names, {}), moved


def record_export(workspace: Workspace, case: str, digest: str, manifest: str, *, wait: float = 10.0) -> Case:
    """Notes that the packet of an approved case was written, by the SHA-256 of its manifest.

    Raises:
        UsageError, PolicyError: the case is not approved, or of another digest.
    """
    fields = {"case_id": case, "digest": digest, "manifest": manifest}
    return write(workspace, None, lambda _: [("case-export", fields)], wait=wait).case(case)


def _job(size: int, reason: str) -> dict[str, Any]:
    """What each entry of a job on several cases has of it."""
    return {"job": {"id": f"job-{secrets.token_hex(4)}", "cases": size, "reason": reason}} if size > 1 else {}


def _done(book: Book, cases: Sequence[str], job: Mapping[str, Any]) -> Done:
    return Done(tuple(book.case(name) for name in cases), job["job"]["id"] if job else None)
