"""SIGKILL at random moments of `ingest` and `detect`, and what must be true afterwards.

A chain of small batches goes into one workspace. For each, a process is killed at a random moment and the state
compared with that of an undisturbed twin (the same keys, the embedded store: digests are equal over stores):
the graph is that of before or of after, whatever was acknowledged is there, and repeating completes it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drops import make_tables, write_drop
from process import Done, Ringwatch

KILLED = -9


@dataclass
class Tally:
    """Kills asked for; those that met a living process; those after which the command's work was there."""

    asked: int = 0
    met: int = 0
    committed: int = 0

    def add(self, done: Done, *, committed: bool) -> None:
        self.asked += 1
        self.met += done.code == KILLED
        self.committed += committed


def orphans(workspace: Path) -> list[str]:
    """What lies in the folders of commits and is not named in CURRENT: must be empty once a writer is done."""
    current = json.loads((workspace / "CURRENT").read_bytes())
    generation = current["generation"]
    named = {
        "log": set(current["batches"]),
        "runs": set(current["runs"]),
        "store": {generation, f"{generation}.wal"},
        "staging": set(),
    }
    found = [
        f"{folder}/{path.name}" for folder, names in named.items()
        for path in sorted((workspace / folder).glob("*")) if path.name not in names
    ]  # fmt: skip
    return found + [path.name for path in workspace.glob(".*.tmp")]


def batches(workspace: Path) -> list[str]:
    """The committed batches."""
    return list(json.loads((workspace / "CURRENT").read_bytes())["batches"])


def runs(workspace: Path) -> list[str]:
    """The committed runs."""
    return list(json.loads((workspace / "CURRENT").read_bytes())["runs"])


class Chain:
    """A workspace under fire and its undisturbed twin.

    `init` are the arguments of `ringwatch init` for the one under fire, `env` what it needs besides; `command` is how
    processes are started.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        init: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        command: type[Ringwatch] = Ringwatch,
    ):
        self._folder = folder
        self._random = random.Random(seed)
        self.target = command(folder / "target", **(env or {}))
        self.twin = command(folder / "twin")
        self.target.run("init", *init)
        self.twin.run("init", "--keys-from", self.target.workspace)
        self._number = 0
        self.ingest_seconds = max(self._feed(self.target).seconds, 0.2)
        self.detect_seconds = max(self.target.run("detect", "--seed", "1").seconds, 0.2)
        self._feed(self.twin)
        self.twin.run("detect", "--seed", "1")
        self._digest = self.twin.digest()

    def _feed(self, command: Ringwatch) -> Done:
        return command.run("ingest", self._drop())

    def _drop(self) -> Path:
        path = self._folder / f"drop{self._number}"
        if not path.exists():
            write_drop(path, make_tables(self._number, loners=200, rings=4, prefix=f"b{self._number}"))
        return path

    def _moment(self, seconds: float) -> float:
        # The first part of a process is the interpreter's start, where there is nothing to lose.
        return self._random.uniform(0.35, 1.05) * seconds

    def kill_ingest(self, tally: Tally) -> None:
        """Kills one `ingest` of a new batch, checks, completes it, checks again.

        Raises:
            AssertionError: a batch was lost or is half there.
        """
        before, known = self._digest, batches(self.target.workspace)
        self._number += 1
        drop = self._drop()
        self.twin.run("ingest", drop)
        after = self._digest = self.twin.digest()
        assert before != after

        done = self.target.call("ingest", drop, kill_after=self._moment(self.ingest_seconds))
        assert done.code in (0, KILLED), done.stderr
        now = batches(self.target.workspace)
        assert now[: len(known)] == known, "an acknowledged batch is lost"
        committed = len(now) > len(known)
        assert committed or done.code == KILLED, "acknowledged, and not there"
        found = self.target.digest()
        assert found == (after if committed else before), "the interrupted batch is half there"

        again = self.target.json("ingest", drop)
        assert (again["stored"] == 0) == committed, again
        assert again["stored"] + again["duplicates"] == again["read"], again
        assert self.target.digest() == after, "repeating does not complete the batch"
        assert not (left := orphans(self.target.workspace)), left
        tally.add(done, committed=committed)

    def kill_detect(self, tally: Tally) -> None:
        """Kills one `detect`, checks, repeats it. Between two of them a batch must come, or there is nothing to see.

        Raises:
            AssertionError: readers see something that is neither the run before nor an undisturbed one, or
                repeating does not give the latter.
        """
        before = self.target.members(self._folder / "before.csv")
        known = runs(self.target.workspace)
        self.twin.run("detect", "--seed", "1")
        after = self.twin.members(self._folder / "after.csv")
        assert before != after

        done = self.target.call("detect", "--seed", "1", kill_after=self._moment(self.detect_seconds))
        assert done.code in (0, KILLED), done.stderr
        committed = runs(self.target.workspace) != known
        assert committed or done.code == KILLED, "acknowledged, and not there"
        found = self.target.members(self._folder / "found.csv")
        assert found == (after if committed else before), "readers see half a run"
        assert self.target.digest() == self._digest, "the graph of the log has changed"

        self.target.run("detect", "--seed", "1")
        assert self.target.members(self._folder / "again.csv") == after, "it comes out otherwise than undisturbed"
        assert self.target.digest() == self._digest
        assert not (left := orphans(self.target.workspace)), left
        tally.add(done, committed=committed)
