"""Evasion curves: what is still found as operators hide more, one tactic at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.config import make_config
from ringwatch.data import PRESETS, Scenario, Tactics, simulate
from ringwatch.errors import UsageError
from ringwatch.evaluation.evaluate import EvaluationReport, assess
from ringwatch.evaluation.labels import read_labels, read_operations
from ringwatch.evaluation.peers import communities
from ringwatch.evaluation.plots import Line, line_chart
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import create_workspace, ingest_drop, rehearse
from ringwatch.workspace import Workspace, write_atomic, writes_to

BASE = "medium"
"""The preset that every knob is turned from."""

KNOBS: dict[str, tuple[float, ...]] = {
    "hidden": (0.0, 0.2, 0.35, 0.5, 0.65, 0.8),
    "paraphrase": (0.0, 0.09, 0.18, 0.28, 0.4, 0.6),
    "ip_rotation": (0.0, 0.25, 0.5, 0.75, 1.0),
    "card_rotation": (0.0, 0.25, 0.5, 0.75, 1.0),
    "device_rotation": (0.0, 0.25, 0.5, 0.75, 1.0),
    "cell": (0, 8, 5, 3),
    "signup_days": (0.0, 14.0, 30.0, 60.0, 90.0),
    "dilution": (0.0, 0.25, 0.5, 0.75),
}
"""Fields of `Tactics` and the levels they are turned to, from no effort to the most."""

PEER = "Leiden"


@dataclass(frozen=True)
class Quality:
    """Recovery over what was attainable, and precision at k; None where undefined."""

    recovery: float | None
    ratio: float | None
    precision_at_k: float | None


@dataclass(frozen=True)
class Point:
    """One world: a knob at a level, a seed; what was attainable, what the product and what its peer found."""

    knob: str
    level: float
    seed: int
    attainable: float | None
    ours: Quality
    peer: Quality

    def row(self) -> dict[str, Any]:
        """As one row of a table."""
        flat = {
            f"{side}_{name}": value
            for side in ("ours", "peer")
            for name, value in asdict(getattr(self, side)).items()
        }
        return {"knob": self.knob, "level": self.level, "seed": self.seed, "attainable": self.attainable, **flat}


@dataclass(frozen=True)
class Evasion:
    """Worlds measured, in the order of knobs, levels and seeds."""

    points: tuple[Point, ...]

    def rows(self) -> pd.DataFrame:
        """knob, level, seed, attainable, ours_… and peer_…: recovery, ratio, precision_at_k; a row a world."""
        rows = pd.DataFrame([point.row() for point in self.points])
        return rows.astype(dict.fromkeys(rows.columns[3:], np.float64))

    def curves(self) -> pd.DataFrame:
        """The means over seeds, a row a level; worlds in which a figure is undefined are left out of its mean."""
        rows = self.rows()
        return rows.drop(columns="seed").groupby(["knob", "level"], sort=False).mean().reset_index()

    def document(self) -> dict[str, Any]:
        def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
            found: list[Any] = frame.round(6).astype(object).where(frame.notna(), None).to_dict("records")
            return found

        return {"base": BASE, "peer": PEER, "curves": records(self.curves()), "worlds": records(self.rows())}


def evade(
    knobs: Sequence[str], folder: Path, *, seeds: Sequence[int], accounts: int | None = None, watch: Stopwatch
) -> Evasion:
    """Turns each knob from the preset `BASE` through its levels, the others as they are, and measures each world.

    Every world is simulated and ingested into a workspace of its own in `folder`, both removed again, detected on
    without labels, and held to its truth. The same seeds give the same figures.

    Raises:
        UsageError: there is no such knob, too few accounts, or a folder that cannot be written.
    """
    unknown = [knob for knob in knobs if knob not in KNOBS]
    if unknown:
        raise UsageError(f"There is no knob '{unknown[0]}'.", hint=f"Choose among {', '.join(KNOBS)}.")
    with writes_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    base = PRESETS[BASE] if accounts is None else replace(PRESETS[BASE], accounts=accounts)
    # What two knobs have in common, the preset as it is, is one world.
    known: dict[tuple[Tactics, int], tuple[float | None, Quality, Quality]] = {}
    points = []
    for knob in knobs:
        for level in KNOBS[knob]:
            for seed in seeds:
                turned: dict[str, Any] = {knob: level}
                tactics = replace(base.tactics, **turned)
                if (tactics, seed) not in known:
                    with watch.stage(f"{knob}={level:g} world={seed}"), TemporaryDirectory(dir=folder) as place:
                        known[tactics, seed] = _measure(replace(base, tactics=tactics), seed, Path(place))
                points.append(Point(knob, level, seed, *known[tactics, seed]))
    return Evasion(tuple(points))


def _measure(scenario: Scenario, seed: int, folder: Path) -> tuple[float | None, Quality, Quality]:
    watch = Stopwatch()
    drop = folder / "drop"
    simulate(scenario, drop, seed=seed, watch=watch)
    workspace = create_workspace(folder / "workspace", make_config())
    _fix_keys(workspace)
    ingest_drop(workspace, [drop], watch=watch)
    labels = drop / "truth" / "labels.parquet"
    truth, operations = read_labels(labels), read_operations(labels)
    with rehearse(workspace, seed=seed) as rehearsal:
        found = rehearsal.detect()
        members = dict(communities(rehearsal.con, seed=seed))[PEER]

    def held(members: pd.DataFrame, listed: pd.DataFrame) -> EvaluationReport:
        return assess(truth, found.scores, members, listed, operations=operations, resamples=0)

    ours = held(found.members, found.clusters)
    peer = held(members, members[["cluster_id"]].drop_duplicates())
    return ours.attainable, _quality(ours), _quality(peer)


def _fix_keys(workspace: Workspace) -> None:
    """Tokens and sketches of a simulated world, whose figures are to come out the same again, need no secret."""
    for name in (workspace.current().token_key, "signatures"):
        write_atomic(workspace.root / "keys" / f"{name}.key", hashlib.sha256(name.encode()).digest(), mode=0o600)


def _quality(report: EvaluationReport) -> Quality:
    recovery, precision = report.clusters["recovery"].value, report.clusters["precision_at_k"].value
    ratio = recovery / report.attainable if recovery is not None and report.attainable else None
    return Quality(recovery, ratio, precision)


def evasion_charts(evasion: Evasion) -> Iterator[tuple[str, str]]:
    """For each knob its name and its curves, as SVG."""
    curves = evasion.curves()
    for knob, rows in curves.groupby("knob", sort=False):
        level = rows["level"].to_numpy(dtype=np.float64)
        # The smaller a cell the more of them: no cells at all are the left end.
        across = np.divide(1.0, level, out=np.zeros_like(level), where=level > 0) if knob == "cell" else level
        lines = []
        for column, name, dashed in (
            ("ours_ratio", "recovery / attainable", False), ("ours_precision_at_k", "precision at k", False),
            ("peer_ratio", f"{PEER}: recovery", True), ("peer_precision_at_k", f"{PEER}: precision", True),
        ):  # fmt: skip
            known = rows[column].notna().to_numpy()
            values = rows[column].to_numpy(dtype=np.float64)
            lines.append(Line(name, list(zip(across[known].tolist(), values[known].tolist(), strict=True)), dashed))
        label = "cells per member" if knob == "cell" else str(knob).replace("_", " ")
        yield str(knob), line_chart(lines, title=f"Evasion by {label}, from {BASE}", x=label, y="quality")
