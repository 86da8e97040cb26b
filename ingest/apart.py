"""Work in a process of its own, so that what it had in memory is gone with it.

Whoever has read raw values keeps traces of them in freed memory, and an engine that spills, or a store that writes
whole pages, takes such traces to the disk. So one process reads raw values, and others write files of that kind.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO, ParamSpec, TypeVar, cast

from ringwatch.errors import RingwatchError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_LENGTH = 8


def run_apart(
    function: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
) -> _Result:
    """The result of a module's function, or its error, from a fresh interpreter; it ends when this process does.

    Raises:
        RingwatchError: the process was ended from outside. Besides, whatever `function` raises.
    """
    job = pickle.dumps((function, args, kwargs))
    # -P: without it Python looks for modules in the current folder first, which may be somebody's drop.
    command = [sys.executable, "-P", "-c", "from ringwatch.ingest.apart import serve; serve()"]
    # close_fds=False: what is marked as inheritable, the writer's lock, is held by both.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as process:
        pipe, answers = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        try:
            pipe.write(len(job).to_bytes(_LENGTH, "big") + job)
            pipe.flush()
            answer = answers.read()
        except BrokenPipeError:
            answer = b""
        except BaseException:
            process.kill()
            raise
    if not answer:
        raise RingwatchError(
            f"A process of the batch was ended from outside (status {process.returncode}).",
            hint="See that there is memory enough, or lower memory_mb in ringwatch.toml.",
        )
    result = pickle.loads(answer)  # noqa: S301 - what our own process has written
    if isinstance(result, Exception):
        raise result
    return cast(_Result, result)


def serve() -> None:
    """The other side: does the one job that stdin brings, and answers on stdout."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may get among the answers
    length = int.from_bytes(sys.stdin.buffer.read(_LENGTH), "big")
    function, args, kwargs = pickle.loads(sys.stdin.buffer.read(length))  # noqa: S301 - what our own process has written
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    try:
        answer = function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        answer = error
    answers.write(pickle.dumps(answer))
    answers.close()
    os._exit(0)  # the thread still waits in a read


def _end_with_the_caller() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when the other end closes
    os._exit(1)
