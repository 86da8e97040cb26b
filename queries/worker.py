"""Asks in a process of its own, which ends when a statement takes too much time or memory (docs/adr/0020).

A store's own clock does not look inside a function: `lpad('x', 300000000)` asked for one second took the embedded
store 34. The process that may be ended is therefore not the caller's. While it asks the embedded store it can open no
file and no socket, and can write to none: a wall behind the guard.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Self, cast

import psutil  # type: ignore[import-untyped]

from ringwatch.errors import PolicyError, RingwatchError
from ringwatch.graphs.store.base import GraphStore, Result
from ringwatch.queries.anonymity import Anonymity, Answer, protect, withhold
from ringwatch.queries.guard import Bounds, check

_LENGTH = 8
_START_SECONDS = 120.0
_GRACE_SECONDS = 1.0
"""The store's own clock is given so much longer: its sentence says the same, and nothing has to be started anew."""
_LOOK_SECONDS = 0.05
_MEGABYTE = 1 << 20
_LARGEST = 256 * _MEGABYTE
"""Bytes of an answer."""


class Worker:
    """Asks the store that `opener` opens: a picklable function, called anew for each statement, so that each sees
    what is committed by then. The process starts with the first statement, or with `start`."""

    def __init__(self, opener: Callable[[], GraphStore]) -> None:
        self._opener = opener
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Starts the process, where it does not run, and does not wait for it."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                # -P: no module is taken from the current folder.
                [sys.executable, "-P", "-c", "from ringwatch.queries.worker import serve; serve()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the caller, which ends it
            )  # fmt: skip
            self._send(self._opener)

    def close(self) -> None:
        """Ends the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def ask(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        bounds: Bounds | None = None,
        anonymity: Anonymity | None = None,
    ) -> Answer:
        """Runs a statement that somebody wrote, when it passes the guard; withholds what `anonymity` does.

        Raises:
            PolicyError: the guard refuses it, or it takes too much time, memory or room.
            UsageError, UnavailableError: as `GraphStore.query`, and as the opener.
        """
        anonymity = anonymity or Anonymity()
        cypher, more = protect(cypher, check(cypher), anonymity)
        result = self.run(cypher, {**(parameters or {}), **more}, bounds=bounds or Bounds())
        return withhold(result, anonymity)

    def run(self, cypher: str, parameters: Mapping[str, Any] | None, *, bounds: Bounds) -> Result:
        """Runs a statement that the guard has seen. Raises as `ask`, but for what the guard refuses."""
        self.start()
        try:
            self._receive(_START_SECONDS, bounds)  # says that it is ready
            self._send((cypher, dict(parameters or {}), bounds.rows, bounds.seconds))
            answer = self._receive(bounds.seconds + _GRACE_SECONDS, bounds)
        except BrokenPipeError as error:
            raise self._ended() from error
        except BaseException:
            self.close()
            raise
        if isinstance(answer, Exception):
            raise answer
        return cast(Result, answer)

    def _send(self, value: object) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101
        data = pickle.dumps(value)
        self._process.stdin.write(len(data).to_bytes(_LENGTH, "big") + data)
        self._process.stdin.flush()

    def _receive(self, seconds: float, bounds: Bounds) -> Any:
        """The next message; whoever takes longer or more memory than is allowed is ended."""
        assert self._process is not None and self._process.stdout is not None  # noqa: S101
        pipe, deadline, data = self._process.stdout.fileno(), time.monotonic() + seconds, bytearray()
        wanted = _LENGTH
        while len(data) < wanted:
            if select.select([pipe], [], [], _LOOK_SECONDS)[0]:
                piece = os.read(pipe, min(_MEGABYTE, wanted - len(data)))
                if not piece:
                    raise self._ended()
                data += piece
                if len(data) == wanted == _LENGTH:
                    wanted += int.from_bytes(data, "big")
                if wanted > _LARGEST:
                    raise PolicyError(
                        f"The answer is larger than {_LARGEST // _MEGABYTE} MB.",
                        hint="Ask for fewer rows or columns.",
                    )
            if self._resident() > bounds.megabytes * _MEGABYTE:
                raise PolicyError(
                    f"The query took more than {bounds.megabytes:,} MB of memory.",
                    hint="Narrow it, or aggregate earlier.",
                )
            if time.monotonic() > deadline:
                raise PolicyError(
                    f"The query took longer than {bounds.seconds:g} seconds.",
                    hint="Narrow it, or allow it more time.",
                )
        return pickle.loads(bytes(data[_LENGTH:]))  # noqa: S301 - what our own process has written

    def _resident(self) -> int:
        assert self._process is not None  # noqa: S101
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _ended(self) -> RingwatchError:
        self.close()
        return RingwatchError(
            "The process that asks was ended from outside.", hint="See that there is memory enough."
        )


def serve() -> None:
    """The other side: opens, asks, answers, until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may get among the answers
    messages: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()

    def answer(value: object) -> None:
        data = pickle.dumps(value)
        answers.write(len(data).to_bytes(_LENGTH, "big") + data)
        answers.flush()

    opener = messages.get()
    while True:
        answer("ready")
        cypher, parameters, rows, seconds = messages.get()
        try:
            with closing(opener()) as store, _walled(everything=store.name == "embedded"):
                found: object = store.query(cypher, parameters, limit=rows, timeout=seconds)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            found = error
        answer(found)


def _listen(messages: queue.Queue[Any]) -> None:
    """Takes what comes, also while a statement runs: when the caller is gone, so is its statement."""
    read = sys.stdin.buffer.read
    while head := read(_LENGTH):
        messages.put(pickle.loads(read(int.from_bytes(head, "big"))))  # noqa: S301 - what our own caller has written
    os._exit(1)


@contextlib.contextmanager
def _walled(*, everything: bool) -> Iterator[None]:
    """No byte goes to a file; with `everything` no file and no socket is opened. What is open stays usable."""
    limits = [resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE][: 1 + everything]
    before = [resource.getrlimit(limit) for limit in limits]
    for limit, (_, hard) in zip(limits, before, strict=True):
        resource.setrlimit(limit, (0, hard))
    try:
        yield
    finally:
        for limit, old in zip(limits, before, strict=True):
            resource.setrlimit(limit, old)
