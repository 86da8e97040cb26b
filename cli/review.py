"""`review`: reviewers, the queue, and what becomes of a case."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ringwatch.cells import number
from ringwatch.cli.listing import Limit, MinScore
from ringwatch.cli.passphrase import BY_VARIABLE, PassphraseFile, passphrase
from ringwatch.cli.session import Session, Wait, command
from ringwatch.errors import RingwatchError, UsageError

if TYPE_CHECKING:
    from ringwatch.review import Case, Done, Signer
    from ringwatch.workspace import Workspace

_Word = TypeVar("_Word", bound=StrEnum)
_As = Annotated[str, typer.Option("--reviewer", help="Who decides: the name of an enrolled reviewer, who signs.")]
_Looks = Annotated[str | None, typer.Option("--reviewer", help="Leave out what this reviewer cannot go on with.")]
_Reason = Annotated[str, typer.Option(help="Why; the audit log keeps it.")]
_Case = Annotated[str, typer.Argument(help="Id of the case.")]
_Cases = Annotated[list[str], typer.Argument(help="Ids of cases; several are one job, which can be undone.")]
_SHOWN = ("case", "state", "cluster", "accounts", "score", "abuse", "harm 30 d", "minutes", "a minute", "")


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    review = typer.Typer(no_args_is_help=True, help="Cases: what is done about a cluster, by two people.")
    reviewer = typer.Typer(no_args_is_help=True, help="Who may sign.")
    app.add_typer(review, name="review")
    review.add_typer(reviewer, name="reviewer")
    command(reviewer, "add")(_add)
    command(reviewer, "list")(_reviewers)
    command(reviewer, "retire")(_retire)
    command(review, "queue")(_queue)
    command(review, "open")(_open)
    command(review, "propose")(_propose)
    command(review, "exclude")(_exclude)
    command(review, "include")(_include)
    command(review, "decide")(_decide)
    command(review, "undo")(_undo)
    command(review, "history")(_history)


# -- reviewers -------------------------------------------------------------------------------------------------------


def _add(
    session: Session,
    name: Annotated[str, typer.Argument(help="A name that is given once.")],
    role: Annotated[str, typer.Option(help="admin (enrols), analyst (proposes) or reviewer (also decides).")],
    by: Annotated[str | None, typer.Option(help="The admin who enrols; not for the first.")] = None,
    passphrase_file: PassphraseFile = None,
    by_passphrase_file: Annotated[
        Path | None, typer.Option(help=f"The admin's, likewise; else {BY_VARIABLE}, else a prompt.")
    ] = None,
    wait: Wait = 10.0,
) -> None:
    """Enrol a reviewer and make their key; the first is an admin."""
    from ringwatch.review import Role, enrol, unlock

    workspace = session.workspace()
    kind = _named(Role, role)
    admin = unlock(workspace, by, passphrase(by, by_passphrase_file, variable=BY_VARIABLE)) if by else None
    secret = passphrase(name, passphrase_file, confirm=True)
    made = enrol(workspace, name, kind, secret, by=admin, wait=wait)
    session.say(
        "reviewer", made.document(), lambda: session.line(f"{made.name} is {made.role}; public key {made.key}.")
    )


def _reviewers(session: Session) -> None:
    """List reviewers, with their roles and public keys."""
    from ringwatch.review import load_book

    found = [one.document() for one in load_book(session.workspace()).reviewers.values()]
    rows = [(one["name"], one["role"], one["enrolled_by"], one["retired"], one["key"]) for one in found]
    session.say(
        "reviewers",
        {"reviewers": found},
        lambda: session.table(("name", "role", "enrolled by", "retired", "key"), rows),
    )


def _retire(
    session: Session,
    name: Annotated[str, typer.Argument(help="Who is to sign no more.")],
    by: Annotated[str, typer.Option(help="The admin who says so.")],
    reason: _Reason,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """End what a reviewer may do; what they signed stays valid."""
    from ringwatch.review import retire

    workspace = session.workspace()
    gone = retire(workspace, name, by=_signer(workspace, by, passphrase_file), reason=reason, wait=wait)
    session.say("reviewer", gone.document(), lambda: session.line(f"{gone.name} is retired."))


def _signer(workspace: Workspace, name: str, file: Path | None) -> Signer:
    from ringwatch.review import load_book, sign_in

    load_book(workspace).reviewer(name)
    return sign_in(workspace, name, passphrase(name, file))


# -- cases -----------------------------------------------------------------------------------------------------------


def _queue(
    session: Session,
    reviewer: _Looks = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only in this state (new: without a case); repeatable.")
    ] = None,
    limit: Limit = 20,
    min_score: MinScore = 0.0,
) -> None:
    """List what to look at next: most harm prevented for a minute of review first."""
    from ringwatch.export import records
    from ringwatch.pipeline import load_run
    from ringwatch.review import load_book, narrow, review_queue

    workspace = session.workspace()
    book, run = load_book(workspace), load_run(workspace)
    who = None if reviewer is None else book.reviewer(reviewer)
    table = narrow(review_queue(run, book), states=state or (), reviewer=who, min_score=min_score)
    shown = records(table.head(limit))
    rows = [
        (
            row["case_id"] or "–", row["state"], row["cluster_id"],
            "–" if row["size"] is None else int(row["size"]), number(row["score"]), number(row["abuse"], 2),
            number(row["expected_harm"], 1), number(row["minutes"], 0), number(row["harm_per_minute"], 2),
            "stale" if row["stale"] else "",
        )
        for row in shown
    ]  # fmt: skip

    def show() -> None:
        if rows:
            session.table(_SHOWN, rows, right=_SHOWN[3:9])
        else:
            session.line("Nothing waits.")
        if len(table) > len(rows):
            session.line(f"{len(table) - len(rows):,} more: --limit N.")

    session.say("queue", {"run_id": run.record.run_id, "queue": shown, "total": len(table)}, show)


def _open(
    session: Session,
    clusters: Annotated[list[str], typer.Argument(help="Ids of clusters of the newest run.")],
    reviewer: _As,
    reason: Annotated[str, typer.Option(help="What the job is about, where there are several.")] = "",
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Open a case of a cluster; of several, one each."""
    from ringwatch.review import open_cases

    workspace = session.workspace()
    signer = _signer(workspace, reviewer, passphrase_file)
    _say_done(session, open_cases(workspace, signer, clusters, reason=reason, wait=wait))


def _propose(
    session: Session,
    cases: _Cases,
    reviewer: _As,
    reason: _Reason,
    action: Annotated[str, typer.Option(help="monitor, limit, suspend or refer: for every member.")] = "suspend",
    account: Annotated[
        list[str] | None, typer.Option(help="ACCOUNT=ACTION: another action for one member; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="ACCOUNT=REASON: leave a member out; repeatable.")] = None,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Propose what is done about each member."""
    from ringwatch.review import Action, load_book, propose

    workspace = session.workspace()
    book = load_book(workspace)
    members = {name for case in cases for name in book.case(case).members}
    done = propose(
        workspace,
        _signer(workspace, reviewer, passphrase_file),
        cases,
        action=_named(Action, action),
        reason=reason,
        actions={name: _named(Action, value) for name, value in _pairs(account, members)},
        exclude=dict(_pairs(exclude, members)),
        wait=wait,
    )
    _say_done(session, done)


def _pairs(texts: list[str] | None, members: set[str]) -> list[tuple[str, str]]:
    """ACCOUNT=VALUE, where an account's id may have the sign in it: the longest member that fits."""
    pairs = []
    for text in texts or ():
        cuts = [place for place, sign in enumerate(text) if sign == "="]
        fits = [place for place in reversed(cuts) if text[:place] in members]
        if not fits:
            raise UsageError(f"'{text[:80]}' names no member.", hint="Write ACCOUNT=VALUE, with a member's id.")
        pairs.append((text[: fits[0]], text[fits[0] + 1 :]))
    return pairs


def _named(kind: type[_Word], text: str) -> _Word:
    try:
        return kind(text)
    except ValueError:
        said = f"There is no {kind.__name__.lower()} '{text}'."
        raise UsageError(said, hint=f"Use one of: {', '.join(kind)}.") from None


def _exclude(
    session: Session,
    case: _Case,
    account: Annotated[str, typer.Argument(help="The member.")],
    reviewer: _As,
    reason: _Reason,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Leave one member out of a case."""
    from ringwatch.review import exclude

    workspace = session.workspace()
    signer = _signer(workspace, reviewer, passphrase_file)
    done = exclude(workspace, signer, case, account, reason=reason, wait=wait)
    _say_done(session, done, _published(workspace, wait))


def _include(
    session: Session,
    case: _Case,
    account: Annotated[str, typer.Argument(help="The member.")],
    reviewer: _As,
    reason: _Reason,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Take an exclusion back, while nothing is proposed."""
    from ringwatch.review import include

    workspace = session.workspace()
    signer = _signer(workspace, reviewer, passphrase_file)
    _say_done(session, include(workspace, signer, case, account, reason=reason, wait=wait))


def _decide(
    session: Session,
    cases: _Cases,
    reviewer: _As,
    decision: Annotated[
        str, typer.Option(help="approve, return or reject; later apply, reverse, appeal, uphold or overturn.")
    ],
    reason: _Reason,
    account: Annotated[list[str] | None, typer.Option(help="Of an appeal: only this account; repeatable.")] = None,
    seen: Annotated[
        str | None, typer.Option(help="The head that `history` showed: refused when the case has gone on since.")
    ] = None,
    finding_stands: Annotated[
        bool, typer.Option("--finding-stands", help="Of a reversal: the accounts are not found benign by it.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Decide on a case: approve, return and reject take another reviewer than the one who proposed it."""
    from ringwatch.review import Decision, decide

    what = _named(Decision, decision)
    workspace = session.workspace()
    done = decide(
        workspace,
        _signer(workspace, reviewer, passphrase_file),
        cases,
        what,
        reason=reason,
        accounts=account or (),
        stands=finding_stands,
        seen=seen,
        wait=wait,
    )
    _say_done(session, done, _published(workspace, wait))


def _undo(
    session: Session,
    job: Annotated[str, typer.Argument(help="Id of a job, as `history` names it.")],
    reviewer: _As,
    reason: _Reason,
    passphrase_file: PassphraseFile = None,
    wait: Wait = 10.0,
) -> None:
    """Take back a job on several cases, in those that have not gone on since."""
    from ringwatch.review import undo

    workspace = session.workspace()
    done, moved = undo(workspace, _signer(workspace, reviewer, passphrase_file), job, reason=reason, wait=wait)
    _say_done(session, done, {**_published(workspace, wait), "gone_on": moved})


def _published(workspace: Workspace, wait: float) -> dict[str, Any]:
    """What became of the labels of the verdicts."""
    from ringwatch.review import publish_verdicts

    return {"labels": publish_verdicts(workspace, wait=wait)}


def catch_up(workspace: Workspace, wait: float) -> None:
    """Publishes verdicts that are not among the labels yet, before labels are read. A log of decisions that does not
    hold is said, and stops nobody from looking for what is going on now."""
    from ringwatch.review import publish_verdicts

    try:
        publish_verdicts(workspace, wait=wait)
    except RingwatchError as error:
        if error.exit_code != RingwatchError.exit_code:
            raise
        typer.echo(f"ringwatch: New verdicts are not counted. {error.message} {error.hint}", err=True)


def _say_done(session: Session, done: Done, more: dict[str, Any] | None = None) -> None:
    cases = [case.document() for case in done.cases]
    extra = more or {}

    def show() -> None:
        rows = [
            (one["case_id"], one["state"], one["cluster_id"], one["members"], len(one["excluded"]), one["proposer"])
            for one in cases
        ]
        session.table(("case", "state", "cluster", "members", "excluded", "proposed by"), rows)
        if done.can_be_undone:
            session.line(f"Job {done.job}: `ringwatch review undo {done.job}` takes it back.")
        if extra.get("labels", 0) is None:
            session.line("Another process is writing: the labels follow with the next `detect` or `train`.")
        for name in extra.get("gone_on", ()):
            session.line(f"{name} has gone on since and stays as it is.", style="yellow")

    session.say("case", {**cases[0], "cases": cases, "job": done.job, **extra}, show)


def _history(session: Session, case: _Case, reviewer: _Looks = None) -> None:
    """Show a case: how it stands, and who did what, when and why."""
    from ringwatch.review import history, load_book

    book = load_book(session.workspace())
    if reviewer is not None:
        book.reviewer(reviewer)
    found = book.case(case)
    events = history(found)

    def show() -> None:
        _show_case(session, found)
        session.table(
            ("when", "who", "what", "why", "job"),
            [(one["time"][:19], one["actor"] or "–", one["what"], one["reason"], one["job"]) for one in events],
        )

    session.say("case", {**found.document(), "history": events}, show)


def _show_case(session: Session, case: Case) -> None:
    counts: dict[str, int] = {}
    for action in case.actions.values():
        counts[action] = counts.get(action, 0) + 1
    proposed = ", ".join(f"{action} {count}" for action, count in sorted(counts.items())) or "nothing yet"
    session.line(f"{case.case_id}: {case.state}", style="bold")
    session.line(f"Cluster {case.cluster_id}, digest {case.digest}, run {case.run_id}.")
    session.line(f"Head {case.head[:16]} (decide with --seen, and nothing is decided unseen).")
    session.line(f"{len(case.members)} members, {len(case.excluded)} excluded; proposed: {proposed}.")
    for account, why in case.excluded.items():
        session.line(f"  not {account}: {why}")
