"""`make bench`: runs the benchmarks that are named, or all; prints a line a figure, writes docs/results.md.

usage: run.py [floor] [hop] [easy] [medium] [hard] [gnn] [gnn-hop] [gpu] [rare] [paraphrase] [neo4j] [crash]
              [crash-neo4j] [--seeds N] [--kills N]
Exit status 1 when a figure misses what it is held to.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import crash
import floor
import gpu
import learning
import paraphrase
import quality
import rates
import realtime
from figures import Figure, table

from ringwatch.errors import UsageError
from ringwatch.gnn.models.torch_here import pick_device

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
OUT = ROOT / "bench-out"
RESULTS = ROOT / "docs" / "results.md"
HEAD = """# Results

Written by `make bench` (`benchmarks/run.py`); `make bench BENCH="NAME …"` replaces the sections it names. Absolute
times are of the machine named in the section; ratios are of one run on it.
"""


class NotHereError(Exception):
    """A benchmark needs something that this machine lacks."""


def _need(path: Path) -> Path:
    if not path.exists():
        raise NotHereError(f"needs {path.relative_to(ROOT.parent)}, which is not here")
    return path


def _optional(path: Path) -> Path | None:
    return path if path.exists() else None


def _benchmarks(seeds: int, kills: int) -> dict[str, Callable[[], Iterable[Figure]]]:
    return {
        "floor": lambda: floor.run(OUT, _need(SHARED / "bench")),
        "hop": lambda: quality.hop(OUT, _need(SHARED / "data" / "hop")),
        "easy": lambda: quality.worlds(OUT, "easy", seeds=seeds),
        "medium": lambda: quality.worlds(OUT, "medium", seeds=seeds),
        "hard": lambda: quality.worlds(OUT, "hard", seeds=seeds),
        "gnn": lambda: learning.gnn(OUT, _optional(SHARED / "bench"), seeds=min(seeds, 2)),
        "gnn-hop": lambda: learning.hop(OUT, _need(SHARED / "data" / "hop")),
        "gpu": _gpu,
        "rare": lambda: quality.rare(OUT, seeds=min(seeds, 2)),
        "signals": lambda: realtime.run(OUT, seeds=min(seeds, 2)),
        "paraphrase": paraphrase.run,
        "neo4j": lambda: _with_server(_neo4j),
        "crash": lambda: crash.run(OUT, "embedded", kills=kills),
        "crash-neo4j": lambda: _with_server(
            lambda server: crash.run(OUT, "neo4j", kills=kills, init=server.init_arguments, env=server.env)
        ),
    }


def _neo4j(server: rates.Server) -> list[Figure]:
    figures = rates.measure(server)
    server.empty()
    hop = _need(SHARED / "data" / "hop")
    return [*figures, *quality.hop_on_both_stores(OUT, hop, server.init_arguments, server.env)]


def _with_server(benchmark: Callable[[rates.Server], list[Figure]]) -> list[Figure]:
    try:
        return rates.with_server(benchmark)
    except rates.ServerError as error:
        raise NotHereError(str(error)) from error


def _gpu() -> Iterable[Figure]:
    try:
        pick_device("cuda")
    except UsageError as error:
        raise NotHereError(f"{error}") from error
    return gpu.run(OUT)


def _machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def _section(name: str, figures: list[Figure]) -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    said = f"`make bench BENCH={name}`, {when}, version {metadata.version('ringwatch')}, {_machine()}."
    return f"## {name}\n\n{said}\n\n{table(figures)}\n"


def _write(sections: dict[str, str], order: list[str]) -> None:
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    kept = {part.split("\n", 1)[0].strip(): f"## {part}" for part in re.split(r"^## ", old, flags=re.MULTILINE)[1:]}
    kept |= sections
    known = [name for name in order if name in kept]
    RESULTS.write_text("\n".join([HEAD, *(kept[name].strip() + "\n" for name in known)]), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs benchmarks and writes docs/results.md.")
    parser.add_argument(
        "names",
        nargs="*",
        help="floor, hop, easy, medium, hard, gnn, gpu, rare, paraphrase, neo4j, crash, crash-neo4j; all",
    )
    parser.add_argument("--seeds", type=int, default=5, help="worlds of each preset")
    parser.add_argument("--kills", type=int, default=50, help="kills of each command on each store")
    arguments = parser.parse_args()
    benchmarks = _benchmarks(arguments.seeds, arguments.kills)
    unknown = set(arguments.names) - set(benchmarks)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    OUT.mkdir(exist_ok=True)
    missed = 0
    for name in arguments.names or benchmarks:
        try:
            figures = []
            for figure in benchmarks[name]():
                print(figure, flush=True)
                figures.append(figure)
        except NotHereError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        missed += sum(not figure.held for figure in figures)
        _write({name: _section(name, figures)}, list(benchmarks))
    print(f"{missed} figures missed what they are held to" if missed else "every figure keeps to what it is held to")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
