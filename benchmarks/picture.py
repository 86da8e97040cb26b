"""Draws docs/cluster.svg for the README: what `ringwatch clusters show` prints of a simulated world's first cluster.

usage: picture.py [SEED]
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

from process import Ringwatch
from rich.console import Console
from rich.text import Text

WIDTH = 110
TARGET = Path(__file__).resolve().parents[1] / "docs" / "cluster.svg"


def draw(ansi: str, title: str) -> str:
    """A terminal's text as an SVG that fetches nothing from elsewhere."""
    console = Console(record=True, width=WIDTH + 10, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(ansi))
    svg = console.export_svg(title=title, unique_id="cluster")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace")


def main() -> None:
    seed = sys.argv[1] if len(sys.argv) > 1 else "1"
    with tempfile.TemporaryDirectory() as folder:
        command = Ringwatch(Path(folder) / "workspace", FORCE_COLOR="1", COLUMNS=str(WIDTH), TERM="xterm-256color")
        drop = Path(folder) / "drop"
        command.run("simulate", "easy", "--output", drop, "--seed", seed)
        command.run("init")
        command.run("ingest", drop)
        command.run("detect", "--no-labels", "--seed", "1")
        first = command.json("clusters", "list", "--limit", "1")["clusters"][0]["cluster_id"]
        del command.env["NO_COLOR"]
        page = command.run("clusters", "show", first).stdout
    TARGET.write_text(draw(page, f"ringwatch clusters show {first}"), encoding="utf-8")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
