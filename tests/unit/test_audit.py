"""The audit log is a sealed chain: whatever is changed, taken out, put in, moved or cut off is found."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ringwatch.audit import appending, read, record, verify
from ringwatch.clock import now
from ringwatch.errors import BusyError, RingwatchError, UsageError


def _written(path: Path, lines: int = 4) -> list[str]:
    for number in range(lines):
        record(path, "reveal", token=f"ip_{number}", reason="čas 1\n2 \ud800" * (number * 2000))
    return path.read_text().splitlines(keepends=True)


@pytest.fixture(scope="module")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    for number in range(3):
        record(path, "reveal", token=f"ip_{number}", reason="wegen \u202e é", score=0.1 * number)
    return path


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
    assert [entry["token"] for entry in read(path)] == [f"ip_{number}" for number in range(4)]
    assert (path.parent / "keys" / "audit.key").stat().st_mode & 0o077 == 0


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
        (lambda lines: [lines[0].replace('"action"', ' "action"'), *lines[1:]], 1),
    ],
)
def test_any_change_is_found(tmp_path: Path, change: Callable[[list[str]], list[str]], line: int) -> None:
    path = tmp_path / "audit.log"
    path.write_text("".join(change(_written(path))))
    with pytest.raises(RingwatchError, match=f"Line {line} of"):
        verify(path)


@given(st.data())
def test_no_byte_can_be_changed_put_in_or_taken_out(small_log: Path, data: st.DataObject) -> None:
    whole = small_log.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    changed = data.draw(
        st.sampled_from(
            [whole[:at] + byte + whole[at + 1 :], whole[:at] + byte + whole[at:], whole[:at] + whole[at + 1 :]]
        )
    )
    assume(changed != whole)
    try:
        small_log.write_bytes(changed)
        with pytest.raises(RingwatchError, match="does not hold"):
            verify(small_log)
    finally:
        small_log.write_bytes(whole)


def test_a_chain_made_anew_without_the_key_is_found(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours" / "audit.log", tmp_path / "theirs" / "audit.log"
    for path in (ours, theirs):
        path.parent.mkdir()
        _written(path)
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(RingwatchError, match="Line 1 of"):
        verify(ours)


def test_an_anchor_finds_what_was_cut_off_and_what_was_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    empty = verify(path).anchor
    _written(path, 2)
    early = verify(path).anchor
    lines = _written(path, 2)
    late = verify(path).anchor
    for anchor in (empty, early, late):
        assert verify(path, anchor=anchor).lines == 4
    path.write_text("".join(lines[:3]))
    verify(path)
    verify(path, anchor=early)
    with pytest.raises(RingwatchError, match="cut off"):
        verify(path, anchor=late)
    # Whoever has the whole workspace, keys included, can write another history, and nothing but an anchor tells.
    path.unlink()
    (path.parent / "keys" / "audit.key").unlink()
    _written(path, 5)
    verify(path)
    verify(path, anchor=empty)
    with pytest.raises(RingwatchError, match="rewritten"):
        verify(path, anchor=late)
    with pytest.raises(UsageError, match="no anchor"):
        verify(path, anchor="yesterday's")


def test_nothing_is_added_to_a_log_whose_end_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    record(path, "reveal")
    path.write_text("nonsense\n")
    with pytest.raises(RingwatchError, match="does not hold"):
        record(path, "reveal")
    with pytest.raises(RingwatchError, match="cannot be written"):
        record(tmp_path / "nowhere" / "audit.log", "reveal")


def test_a_log_whose_key_is_gone_says_so(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    record(path, "reveal")
    (tmp_path / "keys" / "audit.key").unlink()
    for act in (verify, lambda path: record(path, "reveal")):
        with pytest.raises(RingwatchError, match=r"audit\.key"):
            act(path)


def test_a_write_that_was_cut_off_is_not_read_and_taken_off_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines = _written(path, 3)
    for cut in (1, len(lines[2]) // 2, len(lines[2]) - 1):
        path.write_text("".join(lines[:2]) + lines[2][:cut])
        assert [entry["token"] for entry in read(path)] == ["ip_0", "ip_1"]
        with pytest.raises(RingwatchError, match="Line 3 of"):
            verify(path)
        record(path, "reveal", token="next")
        verify(path)
        mended, last = read(path)[2:]
        assert (mended["action"], mended["bytes"], last["token"]) == ("mended", cut, "next")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with appending(path) as log:
        log.add("one", {}, moment=now())
        log.add("two", {"n": 1}, moment=now())
        log.flush()
        log.add("never said", {}, moment=now())
        with pytest.raises(BusyError, match="Another process"), appending(path, wait=0.0):
            pass
    assert [entry["action"] for entry in read(path)] == ["one", "two"]


def test_a_killed_writer_loses_nothing_that_it_said_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for _ in range(10):
        start = len(read(path))
        said, told = os.pipe()
        child = os.fork()
        if not child:
            while True:
                record(path, "reveal", reason="x" * 20_000)
                os.write(told, b".")
        os.close(told)
        acknowledged = len(os.read(said, 1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while piece := os.read(said, 1024):
            acknowledged += len(piece)
        os.close(said)
        assert len(read(path)) >= start + acknowledged
        record(path, "after")
        verify(path)
