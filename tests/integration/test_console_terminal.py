"""The console in a terminal, as somebody sits before it: keys go in, what the screen is told comes out."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import termios
import time
from pathlib import Path

import pytest
from drops import make_tables, write_drop
from process import EXECUTABLE

from ..command import Ringwatch

_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()=>][0-9A-B]?)")
_PATIENCE = 60.0
_PROMPT = "ringwatch>"
_ENV = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
# A plain count of as many rows is a product, and soon told.
_FOREVER = "UNWIND range(1, 1000000) AS x UNWIND range(1, 1000000) AS y RETURN sum(x * y % 7) AS n;\r"


class Terminal:
    """`ringwatch console` at a pseudo-terminal."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process, self._file = pty.fork()
        if not self._process:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background is started deaf to it
            os.execve(EXECUTABLE, ["ringwatch", "console"], {**env, **_ENV})  # noqa: S606
        self._said = ""

    def type(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def until(self, text: str) -> str:
        """What the screen is told up to a text."""
        end = time.monotonic() + _PATIENCE
        while text not in self._said:
            assert time.monotonic() < end, f"{text!r} does not come after {self._said!r}"
            if select.select([self._file], [], [], 0.1)[0]:
                self._said = _CONTROL.sub("", self._said + os.read(self._file, 1 << 16).decode())
        before, _, self._said = self._said.partition(text)
        return before + text

    def works(self) -> None:
        """Waits until no key is waited for: Ctrl-C is a signal then."""
        end = time.monotonic() + _PATIENCE
        while not termios.tcgetattr(self._file)[3] & termios.ISIG:
            assert time.monotonic() < end
            time.sleep(0.01)

    def ends(self) -> int:
        """The exit code."""
        while True:
            try:
                if not os.read(self._file, 1 << 16):
                    break
            except OSError:  # Linux says so where the other side is closed
                break
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Ringwatch:
    folder = tmp_path_factory.mktemp("terminal")
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", write_drop(folder / "drop", make_tables(5, rings=1, loners=5)))
    return command


def test_somebody_sits_before_the_console(workspace: Ringwatch) -> None:
    console = Terminal(workspace.env)
    console.until(_PROMPT)
    console.type("MATCH (a:Acc\t")
    console.until("(a:Account")
    console.type(") WHERE a.id <> 'planted' AND a.harm\t")
    console.until("a.harm_rate")
    console.type(" >= 0.0\rRETURN count(a) > 5 AS many;\r")
    console.until("… ")
    console.until("many")
    assert "true" in console.until("1 row.")
    console.until(_PROMPT)
    console.type("\x1b[A")  # back in what was typed
    console.until("AS many;")
    console.type("\r")
    console.until("1 row.")
    console.until(_PROMPT)
    console.type("MATCH (half\x03")
    console.until(_PROMPT)
    _stop_it(console)
    console.type("dElEtE/**/(a);\r")
    assert "is refused" in console.until("no reading clause")
    console.until(_PROMPT)
    console.type("RETURN 40 + 2 AS answer;\r")
    assert "42" in console.until("1 row.")
    console.until(_PROMPT)
    console.type("\x04")
    assert console.ends() == 0

    again = Terminal(workspace.env)
    again.until(_PROMPT)
    again.type("\x1b[A")  # of the session before
    again.until("RETURN 40 + 2 AS answer;")
    again.type("\x03:quit\r")
    assert again.ends() == 0
    kept = (Path(workspace.workspace) / "console.history").read_text(encoding="utf-8")
    assert "AS many" in kept and "planted" not in kept


def _stop_it(console: Terminal) -> None:
    said = []
    for wait in (0.2, 0.5, 1.0, 2.0, 4.0):  # Ctrl-C before the statement is asked leaves nothing to stop
        console.type(_FOREVER)
        console.until("AS n;")
        console.works()
        time.sleep(wait)
        console.type("\x03")
        said.append(console.until(_PROMPT))
        if "Stopped." in said[-1]:
            return
    raise AssertionError(f"Ctrl-C stops no statement: {said}")
