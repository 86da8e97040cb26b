"""A scenario's name and a seed in, a drop and its truth out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ringwatch.data.activity import draw_events, freeze
from ringwatch.data.benign_groups import plant_benign
from ringwatch.data.draws import hex_text, pick_text
from ringwatch.data.names import DAY_US, END_US
from ringwatch.data.operations import SMALLEST, operations_table, plant_operations
from ringwatch.data.scenarios import PRESETS, Scenario
from ringwatch.data.world import World, close, populate
from ringwatch.data.writer import TIME, DropWriter, account_ids, account_rows, entity_rows, event_rows, relation_rows
from ringwatch.errors import UsageError
from ringwatch.metrics import Stopwatch
from ringwatch.workspace import writes_to

MIN_ACCOUNTS = 300
PREVALENCE = (0.001, 0.5)
CHUNK = 50_000
_LABELS = pa.schema([
    ("account_id", pa.string()), ("label", pa.string()), ("labelled_at", TIME), ("source", pa.string()),
    ("group_id", pa.string()),
])  # fmt: skip


@dataclass(frozen=True)
class SimulationReport:
    """What was written: counts of rows, and what it was made from."""

    scenario: str
    seed: int
    output: str
    accounts: int
    events: int
    prompts: int
    operations: int
    members: int
    benign_groups: dict[str, int]

    def document(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self)


def simulate(
    scenario: str | Scenario,
    output: Path,
    *,
    seed: int,
    accounts: int | None = None,
    prevalence: float | None = None,
    watch: Stopwatch,
) -> SimulationReport:
    """Writes a drop into `output` (made if need be) and its truth into `output/truth`; same seed, same bytes.

    `accounts` and `prevalence` (share of accounts in operations; there is always one operation) take the place of the
    scenario's own.

    Raises:
        UsageError: no such scenario, too few accounts, a prevalence out of range, a folder that is not empty or
            cannot be written.
    """
    preset = _scenario(scenario, accounts, prevalence, seed)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already and is not empty.", hint="Name a new folder for the drop.")
    with writes_to(output):
        output.mkdir(parents=True, exist_ok=True)
    with watch.stage("populate"):
        world = populate(preset.accounts, seed)
    with watch.stage("plant"):
        members = max(SMALLEST, round(preset.accounts * preset.prevalence))
        operations = plant_operations(world, preset.tactics, members)
        planted = plant_benign(world)
        close(world)
        honest, hostile = freeze(world)
    rows = prompts = 0
    with DropWriter(output, seed) as writer:
        with watch.stage("events"):
            for chunk, low in enumerate(range(0, world.accounts, CHUNK)):
                numbers = np.arange(low, min(low + CHUNK, world.accounts))
                rng = np.random.default_rng([seed, 2, chunk])
                writer.write("accounts", account_rows(world, numbers, rng))
                events = event_rows(world, draw_events(world, honest, hostile, numbers, rng), chunk, rng)
                writer.write("events", events)
                rows += len(events)
                prompts += len(events) - events.column("prompt").null_count
        with watch.stage("truth"):
            writer.write("relations", relation_rows(world))
            writer.write("entities", entity_rows(world, np.random.default_rng([seed, 3])))
            names = hex_text(np.arange(len(operations)), seed * 4 + 11, prefix="op_", digits=8)
            writer.write("truth/labels", _labels(world, names))
            writer.write("truth/operations", operations_table(operations, names))
            writer.write("truth/benign_groups", _benign_groups(world))
    return SimulationReport(
        scenario=preset.name, seed=seed, output=str(output), accounts=world.accounts, events=rows, prompts=prompts,
        operations=len(operations), members=int((world.group >= 0).sum()), benign_groups=planted,
    )  # fmt: skip


def _scenario(scenario: str | Scenario, accounts: int | None, prevalence: float | None, seed: int) -> Scenario:
    if isinstance(scenario, str):
        if scenario not in PRESETS:
            raise UsageError(f"There is no scenario {scenario!r}.", hint=f"Choose one of {', '.join(PRESETS)}.")
        scenario = PRESETS[scenario]
    if accounts is not None:
        scenario = replace(scenario, accounts=accounts)
    if prevalence is not None:
        scenario = replace(scenario, prevalence=prevalence)
    if scenario.accounts < MIN_ACCOUNTS:
        raise UsageError(
            f"{scenario.accounts} accounts are too few for a world with groups in it.",
            hint=f"Take --accounts {MIN_ACCOUNTS} or more.",
        )
    low, high = PREVALENCE
    if not low <= scenario.prevalence <= high:
        raise UsageError(
            f"A prevalence of {scenario.prevalence} is out of range.", hint=f"Take a share from {low} to {high}."
        )
    if seed < 0:
        raise UsageError(f"A seed of {seed} is negative.", hint="Take --seed 0 or more.")
    return scenario


def _labels(world: World, names: Any) -> pa.Table:
    """The labels table: everybody, and the operation of whoever is in one."""
    numbers = np.arange(world.accounts)
    member = world.group >= 0
    when = np.full(world.accounts, END_US + DAY_US)
    columns = [
        account_ids(numbers, world.seed),
        pa.array(np.where(member, "abusive", "benign")),
        pa.array(when, TIME),
        pa.array(["truth"] * world.accounts),
        names.take(pa.array(np.maximum(world.group, 0), mask=~member)),
    ]
    return pa.Table.from_arrays(columns, schema=_LABELS)


def _benign_groups(world: World) -> pa.Table:
    """Who is in a benign group, and of what kind that is; labels say nothing of them, as a reviewer's would not."""
    numbers = np.flatnonzero(world.benign >= 0)
    names = hex_text(np.arange(len(world.benign_kinds)), world.seed * 4 + 13, prefix="bg_", digits=8)
    kinds = pa.array(world.benign_kinds, pa.string())
    group = world.benign[numbers]
    columns = [account_ids(numbers, world.seed), pick_text(names, group), pick_text(kinds, group)]
    return pa.Table.from_arrays(columns, names=["account_id", "group_id", "kind"])
