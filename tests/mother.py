"""Imports all that a command imports but torch, and forks for each call that stdin brings, until it ends."""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time

from ringwatch.cli.main import run


def main() -> int:
    """The exit code."""
    for name in (
        "cli.page",
        "data",
        "evaluation",
        "export",
        "gnn",
        "graphs",
        "graphs.store",
        "ingest",
        "pipeline",
        "review",
    ):
        room = importlib.import_module(f"ringwatch.{name}")
        for one in getattr(room, "__all__", ()):
            getattr(room, one)  # rooms import what they name when it is asked for
    gc.freeze()
    for line in sys.stdin:
        arguments, env, place, folder, kill_after = json.loads(line)
        child = os.fork()
        if not child:
            for number, name in enumerate((os.devnull, f"{folder}/out", f"{folder}/err")):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(place)
            code = run(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # to take the packages down again would be most of its work
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss >> 10]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
