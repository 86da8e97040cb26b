"""The command as a child of a process that has imported it already, for tests that call it some hundred times.

A call has a process of its own, with its own arguments, environment, streams and exit, and costs no start of Python
and its packages. Calls take turns with two mothers, whose hashes differ: what hangs on the order of a set shows as it
does between processes. That the installed command starts at all is for the tests that take it from `process`.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path

import process
from process import Done


class Ringwatch(process.Ringwatch):
    """The command on one workspace."""

    def call(self, *arguments: str | Path, kill_after: float | None = None) -> Done:
        """Runs `ringwatch ARGUMENTS…`, whatever comes of it."""
        if self.env.get("PYTHONPATH") != os.environ.get("PYTHONPATH"):  # other packages: to be imported anew
            return super().call(*arguments, kill_after=kill_after)
        return next(_turns()).call([*map(str, arguments)], self.env, kill_after)

    def init(self) -> None:
        """A workspace whose keys are the same each time: what a key moves by chance is no test's subject."""
        self.run("init")
        for name in ("signatures", "tokens-1"):
            (self.workspace / "keys" / f"{name}.key").write_bytes(hashlib.sha256(name.encode()).digest())


def small_world(folder: Path, seed: int) -> Ringwatch:
    """A workspace with a run on 800 accounts, a fifth of them abusive; `folder / "drop"` is its one batch."""
    command = Ringwatch(folder / "workspace")
    size = ("--accounts", "800", "--prevalence", "0.2")
    command.run("simulate", "easy", "--output", folder / "drop", "--seed", str(seed), *size)
    command.run("init")
    command.run("ingest", folder / "drop")
    command.run("detect", "--no-labels", "--seed", "1")
    return command


class _Mother:
    """A process that waits for calls. `seed` is that of its hashes."""

    def __init__(self, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name("mother.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONHASHSEED=str(seed)),
        )  # fmt: skip
        atexit.register(self._process.communicate)

    def call(self, arguments: Sequence[str], env: Mapping[str, str], kill_after: float | None) -> Done:
        """Runs the command in a child."""
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None and answers is not None
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            print(json.dumps([arguments, dict(env), str(Path.cwd()), folder, kill_after]), file=pipe, flush=True)
            code, peak = json.loads(answers.readline())
            seconds = time.perf_counter() - start
            out, err = ((Path(folder) / name).read_text(errors="replace") for name in ("out", "err"))
        return Done(("ringwatch", *arguments), code, out, err, round(seconds, 3), peak)


@cache
def _turns() -> Iterator[_Mother]:
    return cycle([_Mother(1), _Mother(2)])
