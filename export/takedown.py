"""The packet of an approved case: who, what, why and why not, whom it may hit by mistake, in what order, the way
back, what to tell people, and what was not looked at. A folder with a manifest of SHA-256 sums.

The packet is of the case as it was approved and of the run that it was approved on: written again from the same
workspace, it has the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringwatch import audit
from ringwatch.errors import PolicyError
from ringwatch.export.collateral import Collateral, estimate_collateral, track_record
from ringwatch.export.export import FORMATS, write_files
from ringwatch.export.json_format import json_bytes, records
from ringwatch.export.notices import APPEAL_DAYS, notice, reason_code
from ringwatch.export.packet import Reviewed, Words, make_packet
from ringwatch.export.plan import STOP, stage
from ringwatch.export.tabular import safe_table
from ringwatch.graphs import Cluster
from ringwatch.ingest import list_quarantine
from ringwatch.pipeline import Run, account_facts, later_batches, load_run
from ringwatch.review import Book, Case, State, deed, load_book, record_export, standing_cluster
from ringwatch.workspace import Workspace

_NEAREST = 10
_BACK = {"monitor": "stop_monitoring", "limit": "lift_limit", "suspend": "restore", "refer": "recall_referral"}
_ENDINGS = {"stix": "stix.json", "misp": "misp.json"}
_WHAT = {
    "README.txt": "what the files are, and how to act on them",
    "accounts.csv": "each account with its action, reason code and confidence; who is not named is not acted on",
    "evidence.csv": "the reasons for and against, in bits",
    "collateral.json": "how many benign accounts are expected among them, and which are nearest to benign",
    "plan.csv": "waves: canary, first, rest, hold-outs",
    "reversal.csv": "how each action is taken back, and what the account was before",
    "notices.json": "what each account's holder is told, and how to appeal",
    "not-looked-at.json": "what nobody looked at",
    "case.json": "who decided what, when and why, and who was left out; with signatures",
}


@dataclass(frozen=True)
class PacketReport:
    """What was written: the case after it, the digest, and each file with its SHA-256."""

    case: Case
    output: Path
    files: tuple[tuple[str, str], ...]
    collateral: Collateral

    def document(self) -> dict[str, Any]:
        return {
            "case_id": self.case.case_id,
            "state": str(self.case.state),
            "cluster_digest": self.case.digest,
            "output": str(self.output),
            "files": [{"path": name, "sha256": digest} for name, digest in self.files],
            "collateral": self.collateral.document(),
        }


def export_takedown(workspace: Workspace, case_id: str, output: Path, *, wait: float = 10.0) -> PacketReport:
    """Writes the packet of a case into the new or empty folder `output`, and notes it in the audit log.

    Raises:
        PolicyError: the case is not approved, or the cluster has changed since.
        UsageError: there is no such case, or `output` cannot be written or holds something else.
        BusyError: another process writes to the audit log for longer than `wait` seconds.
    """
    after, files, collateral = _hand_out(workspace, case_id, wait)
    write_files(output, files)
    sums = tuple((name, hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items()))
    return PacketReport(after, output, sums, collateral)


def pack_takedown(workspace: Workspace, case_id: str, *, wait: float = 10.0) -> bytes:
    """The same packet as one ZIP file, in a folder that has the name of the case; the same packet, the same bytes.

    Raises:
        PolicyError, UsageError, BusyError: as `export_takedown`.
    """
    _, files, _ = _hand_out(workspace, case_id, wait)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in sorted(files.items()):
            # Times of day would make other bytes of the same packet: all of them are the format's first.
            archive.writestr(zipfile.ZipInfo(f"{case_id}/{name}"), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _hand_out(workspace: Workspace, case_id: str, wait: float) -> tuple[Case, dict[str, bytes], Collateral]:
    """The files of the packet, once the audit log has that they were handed out."""
    book = load_book(workspace)
    case = book.case(case_id)
    approved = _as_approved(case)
    # Where it was handed out before, what was approved is exported once more, whatever has been found since.
    run = load_run(workspace, None if case.state is State.APPROVED else approved.run_id)
    cluster = standing_cluster(workspace, approved, run)
    files, collateral = render_takedown(workspace, book, approved, cluster, run)
    manifest = hashlib.sha256(files["manifest.json"]).hexdigest()
    return record_export(workspace, case_id, approved.digest, manifest, wait=wait), files, collateral


def _as_approved(case: Case) -> Case:
    """The case as it was when its packet was first due.

    Raises:
        PolicyError: it was never approved, or is no more.
    """
    if case.state in (State.APPROVED, State.EXPORTED, State.APPLIED):
        for step in case.steps():
            if step.state is State.APPROVED:
                return step
    raise PolicyError(
        f"{case.case_id} is {case.state}: only what two people approved is taken down.",
        hint=f"`ringwatch review history {case.case_id}` says what is missing.",
    )


def render_takedown(
    workspace: Workspace, book: Book, case: Case, cluster: Cluster, run: Run
) -> tuple[dict[str, bytes], Collateral]:
    """The files of a packet by name, the manifest among them, and the estimate of collateral."""
    facts = account_facts(workspace, list(case.members), run.record).set_index("account_id")
    members = cluster.members.set_index("account_id")
    accounts = _accounts(case, cluster, facts)
    harmed = accounts[accounts["action"] != "monitor"]
    collateral = estimate_collateral(harmed["membership"].to_numpy(dtype=np.float64), cluster.score)
    plan = stage(accounts, case.digest)
    accounts["wave"] = accounts["account_id"].map(plan.set_index("account_id")["wave"])
    reviewed = _reviewed(case)
    packet = make_packet([_without(cluster, case.excluded)], reviewed)
    gaps = list(_gaps(workspace, case, cluster, run, facts.loc[sorted(case.actions)]))
    files: dict[str, bytes] = {
        "accounts.csv": safe_table(accounts),
        "evidence.csv": safe_table(packet.evidence),
        "collateral.json": json_bytes(
            {
                "schema": "ringwatch.collateral/1",
                **collateral.document(),
                "calibrated": False,
                "earlier_cases": track_record(*_earlier(book, case)),
                "nearest_to_benign": _nearest(case, cluster, members, facts),
            }
        ),
        "plan.csv": safe_table(plan),
        "reversal.csv": safe_table(_reversal(case, accounts, facts)),
        "notices.json": json_bytes({"schema": "ringwatch.notices/1", "notices": _notices(case, facts)}),
        "not-looked-at.json": json_bytes({"schema": "ringwatch.not-looked-at/1", "gaps": gaps}),
        "case.json": json_bytes(_history(book, case)),
    }
    for name, fmt in FORMATS.items():
        for inner, data in fmt.render(packet).items():
            place = f"network/{name}/{inner}" if fmt.folder else f"network/cluster.{_ENDINGS.get(name, name)}"
            files[place] = data
    files["README.txt"] = _readme(case, collateral, plan, gaps).encode()
    files["manifest.json"] = json_bytes(
        {
            "schema": "ringwatch.takedown/1",
            "case_id": case.case_id,
            "cluster_id": case.cluster_id,
            "cluster_digest": case.digest,
            "run_id": case.run_id,
            "proposed_by": case.proposer,
            "approved_by": case.approver,
            "approved_at": next(one["time"] for one in reversed(case.events) if one.get("decision") == "approve"),
            "accounts": len(accounts),
            "files": [
                {
                    "path": name,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "bytes": len(data),
                    "what": _WHAT.get(name, "the network, for other programs"),
                }
                for name, data in sorted(files.items())
            ],
        }
    )
    return files, collateral


def _accounts(case: Case, cluster: Cluster, facts: pd.DataFrame) -> pd.DataFrame:
    table = cluster.members[cluster.members["account_id"].isin(list(case.actions))]
    table = table.sort_values("account_id", ignore_index=True)
    of = facts.loc[table["account_id"]]
    return pd.DataFrame(
        {
            "account_id": table["account_id"],
            "action": table["account_id"].map(dict(case.actions)),
            "reason_code": [
                reason_code(_text(harm), int(harmful))
                for harm, harmful in zip(of["harm"], of["harmful"], strict=True)
            ],
            "confidence": table["account_score"].round(6),
            "membership": table["membership"],
            "status_before": [_text(status) for status in of["status"]],
            "events": of["events"].to_numpy(),
            "harmful": of["harmful"].to_numpy(),
        }
    )


def _text(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)


def _nearest(case: Case, cluster: Cluster, members: pd.DataFrame, facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Those acted on who are likeliest benign, and what there is of each."""
    events: pd.Series[int] = facts["events"]
    ties = pd.concat([cluster.edges["src"], cluster.edges["dst"]]).value_counts()
    some = (
        members.loc[case.acted_on]
        .reset_index()
        .assign(harmful=lambda frame: frame["account_id"].map(facts["harmful"]))
    )
    some = some.sort_values(["membership", "account_score", "harmful", "account_id"], ignore_index=True)
    return [
        {
            "account_id": row["account_id"],
            "membership": row["membership"],
            "score": row["account_score"],
            "ties": int(ties.get(row["account_id"], 0)),
            "events": int(events[row["account_id"]]),
            "harmful": int(row["harmful"]),
            "org_id": _text(facts.at[row["account_id"], "org_id"]),
        }
        for row in records(some.head(_NEAREST))
    ]


def _earlier(book: Book, case: Case) -> tuple[int, int]:
    """Of the accounts that earlier cases acted on: how many turned out benign, and how many there were."""
    moment = case.changed_at
    acted = wrong = 0
    for other in book.cases.values():
        step = next((one for one in other.steps() if one.changed_at <= moment), None)
        states = (State.EXPORTED, State.APPLIED, State.REVERSED, State.APPEALED, State.UPHELD, State.OVERTURNED)
        if step is not None and other.case_id != case.case_id and step.state in states:
            acted += len(step.acted_on)
            wrong += sum(step.labels.get(account, ("", ""))[0] == "benign" for account in step.acted_on)
    return wrong, acted


def _reversal(case: Case, accounts: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"],
            "action": accounts["action"],
            "reversal": accounts["action"].map(_BACK),
            "restore_status": [_text(facts.at[name, "status"]) or "active" for name in accounts["account_id"]],
            "case_id": case.case_id,
            "reason_code": accounts["reason_code"],
        }
    )


def _notices(case: Case, facts: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    counts: pd.Series[int] = facts["harmful"]
    for account, action in sorted(case.actions.items()):
        harm, harmful = _text(facts.at[account, "harm"]), int(counts[account])
        rows.append({"account_id": account, "text": notice(account, action, harm, harmful, case.case_id)})
    return rows


def _without(cluster: Cluster, excluded: Mapping[str, str]) -> Cluster:
    """The cluster as other teams get it: nobody who was left out is handed on as a suspect."""
    out = list(excluded)
    members, edges, entities = cluster.members, cluster.edges, cluster.entities
    members = members[~members["account_id"].isin(out)]
    return replace(
        cluster,
        size=len(members),
        members=members,
        edges=edges[~edges["src"].isin(out) & ~edges["dst"].isin(out)],
        entities=entities[~entities["account_id"].isin(out)],
    )


def _reviewed(case: Case) -> Reviewed:
    """What people said, for other teams: which accounts were left out is in `case.json` alone."""
    words = tuple(
        Words(entry["time"], entry["actor"], deed(entry), str(entry.get("reason", ""))) for entry in case.events
    )
    return Reviewed(case.case_id, str(case.state), case.actions, case.excluded, words)


def _history(book: Book, case: Case) -> dict[str, Any]:
    signers = sorted({entry["actor"] for entry in case.events})
    return {
        "schema": "ringwatch.case/1",
        **case.document(),
        "events": list(case.events),
        "signers": [{**book.reviewers[name].document(), "retired": None} for name in signers],
    }


def _gaps(
    workspace: Workspace, case: Case, cluster: Cluster, run: Run, facts: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """What nobody looked at: what it is, and what is known of it."""

    def gap(what: str, **known: Any) -> dict[str, Any]:
        return {"what": what, **known}

    opened = [
        entry for entry in audit.read(workspace.audit_path)
        if entry["action"] == "reveal" and case.events[0]["time"] <= entry["time"] <= case.changed_at
    ]  # fmt: skip
    yield gap(
        "What people wrote: prompts and tool calls were compared by their words and shapes, by a program.",
        originals_opened_while_the_case_was_open=len(opened),
    )
    yield gap("What the accounts do outside this service.")
    silent = sorted(facts.index[facts["events"] == 0])
    if silent:
        yield gap(
            f"{len(silent)} of {len(facts)} accounts, which have no events: nothing of theirs could be compared.",
            accounts=silent,
        )
    fields = ("ip", "device", "payment", "user_agent", "prompt", "tool")
    lacking = [name for name in fields if not facts[f"with_{name}"].any()]
    if lacking:
        yield gap(f"Kinds of data that no event of a member has: {', '.join(lacking)}.", kinds=lacking)
    if cluster.abuse is None:
        yield gap("Harm: no event of the data says anything of it, and the score is of coordination alone.")
    else:
        quiet = sorted(facts.index[(facts["events"] > 0) & (facts["harmful"] == 0)])
        if quiet:
            yield gap(
                f"Harm of {len(quiet)} of {len(facts)} accounts: none of their events was judged harmful.",
                accounts=quiet,
            )
    late = later_batches(workspace, run.record)
    if late:
        yield gap("What came in after the run.", batches=late)
    if run.record.as_of:
        yield gap("What happened after the moment that the run looked at.", as_of=run.record.as_of)
    untimed = {name: rows for name, rows in run.record.untimed.items() if rows}
    if untimed:
        yield gap("When some rows came about: they have no time.", rows=untimed)
    if cluster.organization_id is not None:
        parts = run.parts[run.parts["organization_id"] == cluster.organization_id]["cluster_id"]
        others = sorted(set(parts) - {cluster.cluster_id})
        if others:
            yield gap(f"Clusters that one party may stand behind as well: {', '.join(others)}.", clusters=others)
    with workspace.reading() as current:
        quarantined = sum(batch.rows for batch in list_quarantine(workspace, current))
    if quarantined:
        yield gap(
            f"{quarantined} rows in quarantine: they broke the contract, and are of unknown accounts.",
            rows=quarantined,
        )
    if not cluster.entities.empty:
        yield gap("Entities beside the most shared ones of the cluster: they are not in the network files.")
    yield gap("Whether the scores are right as chances: they are not calibrated on cases of this team.")


def _readme(case: Case, collateral: Collateral, plan: pd.DataFrame, gaps: list[dict[str, Any]]) -> str:
    right, low, high = collateral.if_right
    waves = plan.groupby("role", sort=False).agg(accounts=("account_id", "size"), day=("day", "min"))
    lines = [
        f"Takedown packet of {case.case_id}: cluster {case.cluster_id}, digest {case.digest}.",
        f"Proposed by {case.proposer}, approved by {case.approver}.",
        "",
        *(f"{name:<20} {what}" for name, what in _WHAT.items() if name != "README.txt"),
        f"{'network/':<20} the cluster in nine formats; network/cluster.html is for reading",
        f"{'manifest.json':<20} SHA-256 of each file; the audit log has that of the manifest",
        "",
        "CSV: UTF-8, first row the names. A text cell that a spreadsheet could run has an apostrophe in front of it;",
        "control characters and those that turn the direction of writing are spelled \\uXXXX (a backslash before it",
        "\\u005c).",
        "",
        "Whom it may hit by mistake",
        f"  Of {collateral.accounts} accounts {collateral.expected} are expected to be benign"
        f" ({collateral.low} to {collateral.high}, 95 %).",
        f"  Were the cluster one operation for certain: {right} ({low} to {high}). It is none with a chance of"
        f" {collateral.all_wrong}.",
        "",
        "In what order",
        *(f"  day {row.day:>2}: {row.Index}, {row.accounts} accounts" for row in waves.itertuples()),
        f"  {STOP}",
        "",
        f"Appeals: {APPEAL_DAYS} days. `ringwatch review decide {case.case_id} --decision appeal`, then overturn or"
        " uphold.",
        f"The way back: reversal.csv, and `ringwatch review decide {case.case_id} --decision reverse`.",
        "",
        "What was not looked at",
        *(f"  - {one['what']}" for one in gaps),
    ]
    return "\n".join(lines) + "\n"
