"""The pages that are read: the queue, a cluster with its case, the audit log."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from ringwatch import audit
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.export import (
    STRONGEST,
    Collateral,
    Drawing,
    Waterfall,
    came_from,
    escaped,
    estimate_collateral,
    records,
    shared_things,
    timeline_svg,
    waterfalls,
    without_bits,
)
from ringwatch.graphs import Cluster
from ringwatch.pipeline import Run, load_cluster
from ringwatch.review import (
    NEW,
    Action,
    Case,
    Decision,
    Role,
    State,
    choices,
    deed,
    history,
    matching,
    may_follow,
    may_propose,
    narrow,
    review_queue,
    similar_clusters,
    undoable,
    verify,
)
from ringwatch.web.acts import TOGETHER
from ringwatch.web.rendering import path_of
from ringwatch.web.visits import Visit, Visiting

router = APIRouter()

_ROWS = 50
_LINES = 200
_THINGS = 16
_THIN = 0.4
"""The least width of a bar, in hundredths: it must be seen."""
_STATES = (NEW, State.OPEN, State.PROPOSED, State.RETURNED, State.APPROVED, State.EXPORTED, State.APPEALED)


@router.get("/queue")
def queue(
    v: Visiting,
    state: Annotated[list[str] | None, Query()] = None,
    score: float = 0.0,
    mine: int = 0,
    find: str = "",
    page: int = 1,
) -> HTMLResponse:
    run = v.desk.run(v.workspace)
    everything = review_queue(run, v.book)
    find = find.strip()
    table = narrow(
        everything,
        states=state or (),
        reviewer=v.reviewer if mine else None,
        min_score=score,
        clusters=matching(run, v.book, find) if find else None,
    )
    pages = max(1, -(-len(table) // _ROWS))
    page = min(max(page, 1), pages)
    layers = run.clusters.set_index("cluster_id")["layers"]
    rows = records(table.iloc[(page - 1) * _ROWS : page * _ROWS])
    for row in rows:
        row["layers"] = list(layers.get(row["cluster_id"], []))
        row["key"], row["acts"] = _together(v, row)
    return v.page(
        "queue", at="queue", run=run.record, rows=rows, total=len(table), page=page, pages=pages,
        first=(page - 1) * _ROWS,
        best=float(everything["harm_per_minute"].max()) if len(everything) else 0.0,
        states=_STATES, counts=everything["state"].value_counts().to_dict(), chosen=state or [], score=score,
        mine=mine, find=find, together=("open", "propose", *TOGETHER), actions=list(Action),
        place=v.request.url.path + (f"?{v.request.url.query}" if v.request.url.query else ""),
    )  # fmt: skip


def _together(v: Visit, row: dict[str, Any]) -> tuple[str, list[str]]:
    """What a row of the queue stands for in the form on several, and what can be done with it there."""
    who = v.reviewer
    if row["case_id"] is None:
        return row["cluster_id"], [] if who.role is Role.ADMIN else ["open"]
    case = v.book.case(row["case_id"])
    open_to = choices(case, who)
    acts = ["propose"] if may_propose(case, who) and row["size"] is not None else []
    acts += [one for one in TOGETHER if open_to.get(one) == "" and not (one is Decision.APPROVE and row["stale"])]
    return f"{case.case_id} {case.head} {row['cluster_digest']}", acts


@router.get("/clusters/{cluster_id}")
def cluster(v: Visiting, cluster_id: str, plain: int = 0, anew: int = 0) -> HTMLResponse:
    run = v.desk.run(v.workspace)
    found = load_cluster(v.workspace, cluster_id, run)
    cases = v.book.of_cluster(cluster_id)
    case = cases[-1] if cases else None
    if case is not None and not case.active and (case.state is State.CLOSED or case.digest != found.digest):
        # What became of it is over, and it is another cluster now, or there is none.
        case = None
    return _cluster(v, run, found, case, plain, anew)


@router.get("/cases/{case_id}")
def case(v: Visiting, case_id: str, plain: int = 0, anew: int = 0) -> HTMLResponse:
    found = v.book.case(case_id)
    run = v.desk.run(v.workspace)
    if found.digest not in set(run.clusters.loc[run.clusters["cluster_id"] == found.cluster_id, "digest"]):
        run = v.desk.run(v.workspace, found.run_id)
    return _cluster(v, run, load_cluster(v.workspace, found.cluster_id, run), found, plain, anew)


def _cluster(v: Visit, run: Run, found: Cluster, case: Case | None, plain: int, anew: int) -> HTMLResponse:
    now = v.desk.run(v.workspace)
    newest = now.record.run_id == run.record.run_id
    stale = case is not None and (not newest or case.digest != found.digest)
    parts = run.parts.loc[run.parts["organization_id"] == found.organization_id, "cluster_id"]
    reasons = [*records(found.evidence), *records(found.counter_evidence)]
    things = records(shared_things(found))
    exemplars = [one for one in things if one["type"] == "prompt_family"][:_THINGS]
    others = [one for one in things if one["type"] != "prompt_family"][:_THINGS]
    facts = v.desk.facts(v.workspace, run, found)
    proposing = may_propose(case, v.reviewer) and newest
    # What is proposed is there to be read, until somebody proposes anew.
    editing = proposing and (case is None or case.state in (State.OPEN, State.RETURNED) or stale or bool(anew))
    opening = v.reviewer.role is not Role.ADMIN and newest and (case is None or may_follow(case, found.digest))
    options = choices(case, v.reviewer) if case is not None else {}
    return v.page(
        "cluster", at="", run=run.record, cluster=found, case=case, stale=stale, newest=newest,
        goes_on=bool((now.clusters["cluster_id"] == found.cluster_id).any()),
        plain=plain, falls=[_steps(one) for one in waterfalls(reasons)], members=_members(found, facts, case),
        harmful=int(found.timeline["harmful"].sum()), events=int(found.timeline["events"].sum()),
        days=Markup(timeline_svg(found.timeline)) if len(found.timeline) else "",  # noqa: S704 (made of numbers and days)
        things=others, exemplars=exemplars,
        more=len(things) - len(exemplars) - len(others), came=came_from(found),
        similar=records(similar_clusters(run, v.book, found.cluster_id)),
        cases=v.book.of_cluster(found.cluster_id), history=history(case) if case is not None else [],
        choices=options, opening=opening, proposing=proposing, editing=editing,
        actions=list(Action), counts=_counts(case), hit=_hit(found, case), strongest=STRONGEST,
        parts=sorted(set(parts) - {found.cluster_id}), job=_job(case), why=_words(case), open_appeals=_appeals(case),
    )  # fmt: skip


def _steps(waterfall: Waterfall) -> dict[str, Any]:
    """A waterfall in hundredths of its width."""
    span = max(waterfall.high - waterfall.low, 1e-9)

    def place(bits: float) -> float:
        return round(100 * (bits - waterfall.low) / span, 2)

    steps = []
    for one, before, after in zip(waterfall.reasons, waterfall.sums, waterfall.sums[1:], strict=False):
        left, right = sorted((place(before), place(after)))
        width = max(round(right - left, 2), _THIN)
        text = without_bits(one["text"])
        steps.append({**one, "text": text, "left": left, "width": width, "after": place(after)})
    return {
        "question": waterfall.question, "steps": steps, "zero": place(0.0), "total": waterfall.sums[-1],
        "end": place(waterfall.sums[-1]),
    }  # fmt: skip


def _members(found: Cluster, facts: pd.DataFrame, case: Case | None) -> list[dict[str, Any]]:
    """The members, those that belong least first: a mistake is looked for there. `number`: the place among the ids in
    their order, which stands for a member in the form, and is that of the digest."""
    ends = pd.concat([found.edges["src"], found.edges["dst"]]).value_counts()
    table = found.members.sort_values("account_id", ignore_index=True)
    table = table.assign(
        number=np.arange(len(table)),
        ties=table["account_id"].map(ends).fillna(0).astype(int),
        **{name: facts.loc[table["account_id"], name].to_numpy() for name in ("events", "harmful", "harm", "status")},
    )
    rows = records(table.sort_values(["membership", "account_score", "account_id"], ignore_index=True))
    for row in rows:
        account = row["account_id"]
        row["why"] = case.excluded.get(account) if case else None
        row["action"] = case.actions.get(account) if case else None
        row["appeal"] = case.appeals.get(account) if case else None
    return rows


def _counts(case: Case | None) -> dict[str, int]:
    """How many accounts each action is proposed for."""
    said = list(case.actions.values()) if case else []
    return {str(action): said.count(action) for action in Action if action in said}


def _hit(found: Cluster, case: Case | None) -> Collateral:
    """Whom it may hit by mistake: of the proposal, or of everybody."""
    members = found.members["account_id"]
    acted = (
        members.isin(case.acted_on) if case and case.actions else ~members.isin(list(case.excluded if case else ()))
    )
    return estimate_collateral(found.members.loc[acted, "membership"].to_numpy(dtype=np.float64), found.score)


def _job(case: Case | None) -> str | None:
    """The job that the newest event of a case is a part of, where it can be taken back."""
    job: str | None = history(case)[-1]["job"] if case and undoable(case.events[-1]) else None
    return job


def _words(case: Case | None) -> str:
    """Why what stands proposed was proposed."""
    said = [one["reason"] for one in history(case) if one["what"] == "propose"] if case and case.actions else []
    return said[-1] if said else ""


def _appeals(case: Case | None) -> list[str]:
    return [name for name, state in case.appeals.items() if state == "open"] if case else []


@router.get("/clusters/{cluster_id}/graph")
def graph(v: Visiting, cluster_id: str, run: str | None = None) -> Response:
    found = load_cluster(v.workspace, cluster_id, v.desk.run(v.workspace, run))
    return Response(v.desk.drawn(v.workspace, found, _drawn), media_type="application/json")


def _drawn(drawing: Drawing) -> bytes:
    """A drawing for the script: columns of nodes, and edges as ends, bits and layers."""
    nodes, edges = drawing.nodes, drawing.edges
    kinds = sorted(set(nodes["kind"]))
    kind = nodes["kind"].tolist()
    named = [
        list(layers) if isinstance(layers, list | np.ndarray) else [kind[end]]
        for layers, end in zip(edges["layers"], edges["b"], strict=True)
    ]
    layers = sorted({name for some in named for name in some})
    number = {name: place for place, name in enumerate(layers)}
    document = {
        "kinds": kinds,
        "layers": layers,
        "ids": [escaped(name) for name in nodes["id"]],
        "kind": [kinds.index(one) for one in kind],
        "x": nodes["x"].round(4).tolist(),
        "y": nodes["y"].round(4).tolist(),
        "edges": [
            [a, b, 0 if pd.isna(bits) else round(bits, 1), [number[name] for name in some]]
            for a, b, bits, some in zip(edges["a"].tolist(), edges["b"].tolist(), edges["bits"], named, strict=True)
        ],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


@router.get("/audit")
def log(v: Visiting, who: str = "", find: str = "") -> HTMLResponse:
    try:
        found, broken = verify(v.workspace), None
    except UsageError:
        raise
    except RingwatchError as error:
        found, broken = None, error
    lines = [] if broken else audit.read(v.workspace.audit_path)
    rows = [_line(number, entry) for number, entry in enumerate(lines, start=1)]
    actors = sorted({row["actor"] for row in rows if row["actor"]})
    kept = [
        row
        for row in reversed(rows)
        if (not who or row["actor"] == who) and (not find or find in (row["action"], row["what"]))
    ]
    return v.page(
        "audit", at="audit", found=found, broken=broken, rows=kept[:_LINES], total=len(kept), actors=actors,
        chosen=who, find=find,
    )  # fmt: skip


def _line(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    """A line of the log for people: what it is about, and where that is."""
    case, token = entry.get("case_id"), entry.get("token")
    what = case or token or entry.get("name") or ", ".join(entry.get("tokens", ())) or ""
    return {
        "number": number, "time": entry["time"], "actor": entry.get("actor"),
        "action": deed(entry), "what": str(what),
        "place": path_of("cases", case) if case else None, "reason": str(entry.get("reason", "")),
        "account": entry.get("account"), "signed": "signature" in entry, "hash": entry["hash"],
    }  # fmt: skip
