"""The audit log is a chain: a line that was changed, taken out or put in is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ringwatch.audit import record, verify
from ringwatch.errors import RingwatchError


def _written(path: Path) -> list[str]:
    for number in range(4):
        record(path, "reveal", token=f"ip_{number}", reason="čas 1\n2 " * (number * 2000))
    return path.read_text().splitlines(keepends=True)


def test_lines_hold_and_say_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    assert verify(path).lines == 0
    lines = _written(path)
    report = verify(path)
    assert report.lines == 4
    assert report.head == json.loads(lines[-1])["hash"]
    first = json.loads(lines[0])
    assert (first["action"], first["token"], first["reason"]) == ("reveal", "ip_0", "")
    assert first["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0].replace("ip_0", "ip_9"), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [*lines[:3], "{}\n", lines[3]], 4),
        (lambda lines: [*lines[:3], "nonsense\n"], 4),
        (lambda lines: [*lines[:3], "[1]\n"], 4),
        (lambda lines: [*lines[:3], lines[3].strip()], 4),
    ],
)
def test_any_change_is_found(tmp_path: Path, change: Callable[[list[str]], list[str]], line: int) -> None:
    path = tmp_path / "audit.log"
    path.write_text("".join(change(_written(path))))
    with pytest.raises(RingwatchError, match=f"Line {line} of"):
        verify(path)


def test_nothing_is_added_to_a_log_whose_end_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("nonsense\n")
    with pytest.raises(RingwatchError, match="does not hold"):
        record(path, "reveal")
    with pytest.raises(RingwatchError, match="cannot be written"):
        record(tmp_path / "nowhere" / "audit.log", "reveal")
