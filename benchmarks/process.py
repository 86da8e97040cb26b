"""Drives the installed `ringwatch` as a process, as a user would, and reads what it cost from the kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXECUTABLE = Path(sys.executable).with_name("ringwatch")


@dataclass(frozen=True)
class Done:
    """How a process ended. `peak_rss_mb` is the kernel's figure for it and what it waited for (it is never below
    that of the process that started it)."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_rss_mb: int

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        document = json.loads(self.stdout)
        if not isinstance(document, dict):
            raise TypeError(f"{' '.join(self.arguments)} printed no JSON object")
        return document


class FailedError(Exception):
    """A process that had to succeed did not."""

    def __init__(self, done: Done) -> None:
        ends = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        super().__init__(f"exit {done.code}: {' '.join(done.arguments)}\n{ends}")


def run_process(
    arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None, kill_after: float | None = None
) -> Done:
    """Runs a program to its end, or to SIGKILL after `kill_after` seconds (`code`: -9 unless it was faster)."""
    command = tuple(str(argument) for argument in arguments)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        if kill_after is not None:
            time.sleep(kill_after)
            # Not by Popen's methods: they reap a process that has ended, and its cost is lost.
            os.kill(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Done(command, process.returncode, texts[0], texts[1], round(seconds, 3), usage.ru_maxrss // scale)


class Ringwatch:
    """The command on one workspace."""

    def __init__(self, workspace: Path, **env: str) -> None:
        self.workspace = workspace
        self.env = dict(os.environ, NO_COLOR="1", RINGWATCH_WORKSPACE=str(workspace), **env)
        self.env.pop("COLUMNS", None)  # pages have the width that they have in a pipe, wherever this runs

    def call(self, *arguments: str | Path, kill_after: float | None = None) -> Done:
        """Runs `ringwatch ARGUMENTS…`, whatever comes of it."""
        return run_process([EXECUTABLE, *arguments], env=self.env, kill_after=kill_after)

    def run(self, *arguments: str | Path) -> Done:
        """Runs `ringwatch ARGUMENTS…`.

        Raises:
            FailedError: it did not exit with 0.
        """
        done = self.call(*arguments)
        if done.code:
            raise FailedError(done)
        return done

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        """The JSON document of `ringwatch ARGUMENTS… --json`.

        Raises:
            FailedError: it did not exit with 0.
        """
        return self.run(*arguments, "--json").document

    def digest(self) -> str:
        """`graph digest`."""
        return str(self.json("graph", "digest")["digest"])

    def members(self, path: Path) -> bytes:
        """The bytes of `clusters members`, written to `path`."""
        self.run("clusters", "members", "--output", path)
        return path.read_bytes()
