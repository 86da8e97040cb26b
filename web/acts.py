"""What the forms do. Whatever is signed takes the passphrase with it: no key outlives the request."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse, Response

from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.export import escaped, pack_takedown, shared_things, unescaped
from ringwatch.ingest import reveal
from ringwatch.pipeline import load_cluster
from ringwatch.review import (
    Action,
    Case,
    Decision,
    Signer,
    current_cluster,
    decide,
    exclude,
    include,
    open_cases,
    propose,
    publish_verdicts,
    undo,
)
from ringwatch.web.rendering import path_of
from ringwatch.web.visits import Form, Sent, Visit, Visiting, chosen, here, wants_json
from ringwatch.workspace import Workspace

router = APIRouter()

_WAIT = 5.0
"""Seconds that somebody waits for another writer of the audit log."""

TOGETHER = (Decision.APPROVE, Decision.RETURN, Decision.REJECT, Decision.APPLY, Decision.CLOSE)
"""What several cases are decided by in one job. What is heard of people, or given back to them, is of one case."""


def _signer(v: Visit, form: Form) -> Signer:
    v.check(form)
    return v.desk.signer(v.reviewer.name, form.passphrase())


def _publish(workspace: Workspace) -> None:
    """Brings verdicts to the labels, unless somebody is writing: `detect` and `train` do it themselves."""
    try:
        publish_verdicts(workspace, wait=0.0)
    except RingwatchError:
        # The decision stands; `detect` and `train` say what keeps them from counting it.
        return


def _at(case: Case) -> str:
    return path_of("cases", case.case_id)


@router.post("/clusters/{cluster_id}/open")
def open_case(v: Visiting, cluster_id: str, form: Sent) -> Response:
    done = open_cases(v.workspace, _signer(v, form), [cluster_id], wait=_WAIT)
    return v.go(_at(done.cases[0]), f"{done.cases[0].case_id} is open.")


@router.post("/clusters/{cluster_id}/propose")
def propose_case(v: Visiting, cluster_id: str, form: Sent) -> Response:
    """Proposes on the case of a cluster; opens one where there is none."""
    signer = _signer(v, form)
    reason, digest = form.one("reason"), form.one("digest")
    action = Action(chosen(form.one("action"), list(Action), "action"))
    if not reason:
        raise UsageError("A proposal needs a reason.", hint="Say why; the audit log keeps it.")
    cluster = current_cluster(v.workspace, cluster_id)
    if cluster.digest != digest:
        raise PolicyError(
            f"Cluster {cluster_id} has changed since you looked at it.", hint="Load the page again; nothing was done."
        )
    # What a number stands for hangs on the digest, which is over the ids.
    members = sorted(cluster.members["account_id"])
    out, why, said = form.numbered("x"), form.numbered("w"), form.numbered("a")
    if any(number >= len(members) for number in (*out, *said)):
        raise UsageError("The form names a member that there is not.", hint="Load the page again.")
    unsaid = sorted(set(out) - set(why))
    if unsaid:
        raise UsageError(
            f"{members[unsaid[0]]} is left out without a reason.", hint="Say why; the audit log keeps it."
        )
    actions = {members[number]: Action(chosen(text, list(Action), "action")) for number, text in said.items()}
    done = propose(
        v.workspace, signer, [form.one("case") or cluster_id], action=action, reason=reason, actions=actions,
        exclude={members[n]: why[n] for n in out}, seen=form.one("seen") or None, digest=digest, wait=_WAIT,
    )  # fmt: skip
    return v.go(_at(done.cases[0]), f"{done.cases[0].case_id} is proposed: a second reviewer decides on it.")


@router.post("/queue/act")
def act_on_several(v: Visiting, form: Sent, later: BackgroundTasks) -> Response:
    """Opens, proposes or decides on what was chosen in the queue: one job, done whole or not at all."""
    what = chosen(form.one("act"), ["open", "propose", *TOGETHER], "act")
    # A row says what it showed: a cluster, or a case with its head and the digest of its cluster.
    rows = [row.split(" ") for row in form.all("row")]
    if not rows or any(len(row) != (1 if what == "open" else 3) for row in rows):
        raise UsageError("Nothing that this can be done with is chosen.", hint="Choose rows of the queue.")
    names, reason, signer = [row[0] for row in rows], form.one("reason"), _signer(v, form)
    if what == "open":
        done = open_cases(v.workspace, signer, names, reason=reason, wait=_WAIT)
    elif what == "propose":
        done = propose(
            v.workspace, signer, names, action=Action(chosen(form.one("action"), list(Action), "action")),
            reason=reason, seen={row[0]: row[1] for row in rows}, digest={row[0]: row[2] for row in rows}, wait=_WAIT,
        )  # fmt: skip
    else:
        seen = {row[0]: row[1] for row in rows}
        done = decide(v.workspace, signer, names, Decision(what), reason=reason, seen=seen, wait=_WAIT)
        later.add_task(_publish, v.workspace)
    many = f"{len(done.cases)} cases are" if done.job else f"{done.cases[0].case_id} is"
    back = f" Job {done.job} can be taken back on the page of any of them." if done.can_be_undone else ""
    return v.go(here(form.one("next")), f"{many} {done.cases[0].state}.{back}")


@router.post("/cases/{case_id}/decide")
def decide_case(v: Visiting, case_id: str, form: Sent, later: BackgroundTasks) -> Response:
    decision = Decision(chosen(form.one("decision"), list(Decision), "decision"))
    appeals = (Decision.APPEAL, Decision.UPHOLD, Decision.OVERTURN)
    done = decide(
        v.workspace, _signer(v, form), [case_id], decision, reason=form.one("reason"),
        accounts=form.ids("accounts") if decision in appeals else (), stands=form.one("stands") == "1",
        seen=form.one("seen"), wait=_WAIT,
    )  # fmt: skip
    later.add_task(_publish, v.workspace)
    return v.go(_at(done.cases[0]), f"{case_id} is {done.cases[0].state}.")


@router.post("/cases/{case_id}/exclude")
def exclude_member(v: Visiting, case_id: str, form: Sent, later: BackgroundTasks) -> Response:
    account, reason = unescaped(form.one("account")), form.one("reason")
    change = include if form.one("back") else exclude
    done = change(v.workspace, _signer(v, form), case_id, account, reason=reason, wait=_WAIT)
    later.add_task(_publish, v.workspace)
    return v.go(_at(done.cases[0]), f"{account} is {'in' if form.one('back') else 'left out of'} {case_id}.")


@router.post("/cases/{case_id}/undo")
def undo_job(v: Visiting, case_id: str, form: Sent, later: BackgroundTasks) -> Response:
    done, moved = undo(v.workspace, _signer(v, form), form.one("job"), reason=form.one("reason"), wait=_WAIT)
    later.add_task(_publish, v.workspace)
    rest = f" {', '.join(moved)} had gone on." if moved else ""
    return v.go(path_of("cases", case_id), f"Taken back in {len(done.cases)} cases.{rest}")


@router.post("/cases/{case_id}/packet")
def packet(v: Visiting, case_id: str, form: Sent) -> Response:
    v.check(form)
    data = pack_takedown(v.workspace, case_id, wait=_WAIT)
    return Response(
        data,
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{v.book.case(case_id).case_id}.zip"'},
    )


@router.post("/clusters/{cluster_id}/reveal")
def reveal_original(v: Visiting, cluster_id: str, form: Sent, run: str | None = None) -> Response:
    """Shows an original of what members of a cluster share; the audit log has who, what and why before."""
    v.check(form)
    found = load_cluster(v.workspace, cluster_id, v.desk.run(v.workspace, run))
    token = form.one("original")
    if token not in set(shared_things(found)["sealed"].dropna()):
        raise UsageError("That is nothing that members of this cluster share.", hint="Load the page again.")
    with v.workspace.reading() as current:
        values = reveal(v.workspace, current, token, reason=form.one("reason"), by=v.reviewer.name)
    if wants_json(v.request):
        return JSONResponse({"values": [{"kind": one.kind, "value": _lines(one.value)} for one in values]})
    return v.page("original", at="", cluster_id=cluster_id, original=token, found=values)


def _lines(text: str) -> list[str]:
    return [escaped(line) for line in text.splitlines()]
