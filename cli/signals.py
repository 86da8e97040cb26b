"""`signals`: what the real-time path reads, what it would say of events, and what it would have been worth."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.listing import OfRun
from ringwatch.cli.session import Session, command
from ringwatch.errors import DataError, UsageError

if TYPE_CHECKING:
    from ringwatch.signals import Backtest, Matcher

Window = Annotated[str, typer.Option(help="How far back newcomers are learnt from, and held to: 14d, 4w.")]
_AT_ONCE = 1_000
_NAMED = ("event_id", "account_id")


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    signals = typer.Typer(no_args_is_help=True, help="What the real-time path reads.")
    app.add_typer(signals, name="signals")
    command(signals, "build")(_build)
    command(signals, "match")(_match)
    command(signals, "backtest")(_backtest)


def _build(
    session: Session,
    output: Annotated[Path, typer.Option(help="A file that ends in .parquet.")],
    run: OfRun = None,
    window: Window = "14d",
) -> None:
    """Write what suspects of a run would be known by, in bits: things, templates of prompts, accounts."""
    from ringwatch.clock import parse_span
    from ringwatch.pipeline import load_run
    from ringwatch.signals import build_signals, write_signals
    from ringwatch.signals.pack import check_name

    check_name(output)
    workspace = session.workspace()
    found = build_signals(workspace, load_run(workspace, run), window=parse_span(window), watch=session.watch())
    write_signals(found, output)
    by_type = found.table.groupby("type").agg(signals=("key", "size"), most=("bits", "max")).reset_index()
    rows = by_type.sort_values(["signals", "type"], ascending=[False, True]).to_dict("records")
    document = {
        "output": str(output),
        "signals": len(found.table),
        "types": {row["type"]: row["signals"] for row in rows},
        **found.about(),
    }

    def show() -> None:
        cells = [(row["type"], f"{row['signals']:,}", f"{row['most']:+.1f}") for row in rows]
        session.table(("signal of a", "", "most bits"), cells, right=("", "most bits"))
        session.line()
        session.line(
            f"{len(found.table):,} signals of run {found.run_id} in {output}; anybody "
            f"begins at {found.base:+.1f} bits."
        )

    session.say("signals", document, show)


def _match(
    session: Session,
    events: Annotated[str, typer.Argument(metavar="EVENTS", help="JSON Lines, an event each; - is stdin.")],
    signals: Annotated[Path, typer.Option(help="What `signals build` wrote.")],
    min_chance: Annotated[float, typer.Option(help="Only verdicts of this chance or more.", min=0, max=1)] = 0.0,
) -> None:
    """Say of events, one by one, how likely their accounts are abusive by what they show: a line of JSON each."""
    from ringwatch.signals import Matcher

    matcher = Matcher.open(signals, session.workspace())
    verdicts = _verdicts(matcher, events, min_chance)
    if session.as_json:
        found = list(verdicts)
        session.say("verdicts", {"verdicts": found}, lambda: None)
        return
    for verdict in verdicts:
        print(json.dumps(verdict))


def _verdicts(matcher: Matcher, events: str, min_chance: float) -> Iterator[dict[str, Any]]:
    if events != "-" and not Path(events).is_file():
        raise UsageError(f"There is no file {events}.", hint="Name JSON Lines, or - for stdin.")
    with nullcontext(sys.stdin.buffer) if events == "-" else Path(events).open("rb") as lines:
        numbered = enumerate(lines, 1)
        # Whoever sends one line at a time waits for one verdict at a time.
        size = 1 if events == "-" else _AT_ONCE
        while some := list(islice(numbered, size)):
            read = [_event(events, at, line) for at, line in some if line.strip()]
            for event, verdict in zip(read, matcher.match(read), strict=True):
                if verdict.chance >= min_chance:
                    yield {name: event[name] for name in _NAMED if name in event} | verdict.document()
            if events == "-":
                sys.stdout.flush()


def _event(events: str, at: int, line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise DataError(f"Line {at} of {events} is no JSON object.", hint="Write an event a line.")
    return event


def _backtest(
    session: Session,
    labels: Annotated[Path, typer.Option(help="A labels table: who is abusive, and in which group.")],
    as_of: Annotated[str | None, typer.Option(help="When signals are made; a window before the last event.")] = None,
    window: Window = "14d",
    seed: Annotated[int, typer.Option(help="The same seed, the same figures.", min=0)] = 0,
) -> None:
    """Make signals of the log as it was, without labels, and hold them to who came after. Commits nothing."""
    from ringwatch.clock import parse_span, parse_time
    from ringwatch.signals import backtest

    found = backtest(
        session.workspace(), labels, as_of=parse_time(as_of) if as_of else None, window=parse_span(window), seed=seed,
        watch=session.watch(),
    )  # fmt: skip
    session.say("backtest", found.document(), lambda: _show(session, found))


def _show(session: Session, found: Backtest) -> None:
    from ringwatch.signals.trial import HELD_COLUMNS

    session.line(
        f"{found.signals:,} signals made as of {found.as_of:%Y-%m-%d %H:%M}, read until {found.until:%Y-%m-%d %H:%M}."
    )
    session.line()
    session.table(HELD_COLUMNS, [one.cells() for one in found.held], right=HELD_COLUMNS[1:])
    session.line("Met: with that chance or more. After: the share of their events that came with that or later.")
    session.line()
    rows = [
        (f"{row['low']:g} to {row['high']:g}", f"{row['accounts']:,}", number(row["claimed"]), number(row["right"]))
        for row in found.claimed.to_dict("records")
    ]
    columns = ("newcomers met with", "accounts", "claimed", "abusive")
    session.table(columns, rows, right=columns[1:])
    if len(found.strongest):
        session.line()
        cells = [
            (row["type"], f"{row['accounts']:,}", f"{row['abusive']:,}") for row in found.strongest.to_dict("records")
        ]
        names = ("newcomers met by", "accounts", "abusive")
        session.table(names, cells, right=names[1:])
