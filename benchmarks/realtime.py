"""What signals are worth where operations go on taking in accounts, and what a verdict costs beside ingesting."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from figures import Figure, mean

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.data import PRESETS, simulate
from ringwatch.metrics import Stopwatch
from ringwatch.signals import Backtest, KeyMaker, Matcher, backtest, build_signals
from ringwatch.signals.trial import NEWCOMERS, OF_GROUPS_BEGUN
from ringwatch.workspace import Workspace

FIRST_SEED = 9071
SIGNUP_DAYS = 150.0
"""Operations take in accounts for about so long; those of the presets are all made within days, and leave nobody to
be known by the things of who came before."""

CHANCE = 0.5
ASKED = 20_000
BENIGN_MET, RIGHT = 0.01, 0.6


def run(out: Path, *, seeds: int) -> Iterable[Figure]:
    """Backtests on worlds of the preset `medium` that take their time, at 5 % prevalence."""
    found, ratios, notes = [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        folder = out / f"signals-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        tactics = replace(PRESETS["medium"].tactics, signup_days=SIGNUP_DAYS)
        simulate(replace(PRESETS["medium"], tactics=tactics), folder / "drop", seed=seed, watch=Stopwatch(quiet=True))
        workspace = pipeline.create_workspace(folder / "workspace", make_config())
        start = time.perf_counter()
        report = pipeline.ingest_drop(workspace, [folder / "drop"])
        per_row = (time.perf_counter() - start) / report.stored
        found.append(backtest(workspace, folder / "drop" / "truth" / "labels.parquet"))
        per_event, note = _cost(workspace, folder / "drop")
        ratios.append(per_event / per_row)
        notes.append(note)
        shutil.rmtree(folder)
    yield from _worth(found)
    yield Figure(
        "signals: a verdict, 1,000 events at once, in rows ingested", sum(ratios) / len(ratios), note=notes[-1]
    )


def _worth(found: list[Backtest]) -> Iterable[Figure]:
    held = [{(one.who, one.chance): one for one in each.held} for each in found]
    begun = [each[OF_GROUPS_BEGUN, CHANCE] for each in held]
    everyone = [each[NEWCOMERS, CHANCE] for each in held]
    accounts = sum(one.abusive for one in begun)
    met = mean("signals: newcomers of operations begun that are met", [one.met.value or 0.0 for one in begun])
    yield replace(met, note=f"{met.note}; {accounts} accounts, at even odds or more")
    yield mean("signals: their events that come with a match or after it", [one.after.value or 0.0 for one in begun])
    yield mean(
        "signals: benign newcomers that are met",
        [one.met_benign.value or 0.0 for one in everyone],
        at_most=BENIGN_MET,
    )
    claimed = pd.concat([each.claimed for each in found])
    sure = claimed[claimed["low"] >= CHANCE]
    weight = sure["accounts"] / max(sure["accounts"].sum(), 1)
    yield Figure(
        "signals: of newcomers met, the share abusive", float((sure["right"] * weight).sum()), "", ">=", RIGHT,
        f"{sure['accounts'].sum()} accounts; claimed {(sure['claimed'] * weight).sum():.3f}",
    )  # fmt: skip


def _cost(workspace: Workspace, drop: Path) -> tuple[float, str]:
    pipeline.run_detection(workspace, labels=False)
    signals = build_signals(workspace, pipeline.load_run(workspace))
    matcher = Matcher(signals, KeyMaker(workspace))
    events = pd.read_parquet(drop / "events.parquet").tail(ASKED)
    rows: list[dict[str, Any]] = events.astype(object).where(events.notna(), None).to_dict("records")  # type: ignore[assignment]
    start = time.perf_counter()
    for at in range(0, len(rows), 1_000):
        matcher.match(rows[at : at + 1_000])
    per_event = (time.perf_counter() - start) / len(rows)
    start = time.perf_counter()
    for row in rows[:1_000]:
        matcher.match([row])
    alone = (time.perf_counter() - start) / 1_000
    return (
        per_event,
        f"{len(signals.table):,} signals; {1 / per_event:,.0f} events a second; one by one {alone * 1e3:.1f} ms",
    )
