"""What every command shares: its options, the workspace that it works on, and how it prints."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ringwatch.errors import UsageError
from ringwatch.metrics import Stopwatch
from ringwatch.workspace import Workspace

WORKSPACE_VARIABLE = "RINGWATCH_WORKSPACE"
WIDE = 120
"""Columns of a table where stdout is no terminal: what is cut there is lost."""


@dataclass(frozen=True)
class Shared:
    """The options before the command."""

    workspace: str | None


_LONGEST_NAME = 64
"""Characters of a name that is never broken over lines."""


class Session:
    """One call of a command."""

    def __init__(self, shared: Shared, *, as_json: bool, quiet: bool) -> None:
        self._shared = shared
        self.as_json = as_json
        self.quiet = quiet
        # A page that is written to a file or a pipe keeps its width, whatever the size of the terminal it came from.
        width = None if os.isatty(1) or "COLUMNS" in os.environ else WIDE
        self.console = Console(width=width, highlight=False, soft_wrap=False)

    @property
    def root(self) -> Path:
        """The folder of the workspace, made or not.

        Raises:
            UsageError: none was named.
        """
        given = self._shared.workspace
        # An empty one, of a variable that is not set, is neither the current directory nor another workspace.
        named = os.environ.get(WORKSPACE_VARIABLE) if given is None else given
        if not named:
            raise UsageError(
                "No workspace was named.",
                hint=f"Give --workspace DIR before the command, or set {WORKSPACE_VARIABLE}.",
            )
        return Path(named)

    def workspace(self) -> Workspace:
        """The workspace.

        Raises:
            UsageError: none was named, or there is none.
        """
        return Workspace.open(self.root)

    def watch(self) -> Stopwatch:
        """A stopwatch that says on stderr which stage begins, unless asked to be quiet."""
        return Stopwatch(quiet=self.quiet)

    def say(self, what: str, document: Mapping[str, Any], show: Callable[[], None]) -> None:
        """Prints the answer: `ringwatch.WHAT/1` as JSON, or what `show` prints for people."""
        if self.as_json:
            print(document_text(what, document))
        else:
            show()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
        """Prints a table; the columns named in `right` are numbers."""
        table = Table(
            *(), box=None, header_style="bold", pad_edge=False, collapse_padding=False, padding=(0, 2, 0, 0)
        )
        for place, column in enumerate(columns):
            cells = [str(row[place]) for row in rows if row[place] is not None]
            # What names the row, or is a token, could not be copied if it were broken over lines.
            names = place == 0 or any(cell.endswith("…") for cell in cells)
            whole = names and max(map(len, cells), default=0) <= _LONGEST_NAME
            table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=whole)
        for row in rows:
            # As texts: what a cell quotes is no markup.
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        self.console.print(table)

    def line(self, text: str = "", style: str | None = None) -> None:
        """Prints a line as it is: what it quotes is no markup."""
        self.console.print(text, style=style, markup=False)


def document_text(what: str, document: Mapping[str, Any]) -> str:
    """The JSON document `ringwatch.WHAT/1`."""
    return json.dumps({"schema": f"ringwatch.{what}/1", **document}, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    """Times and numbers of pandas and numpy as JSON has them."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_OPTIONS = {
    "json": Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")],
}


def _svg(path: Path | None) -> Path | None:
    if path is not None and (path.suffix.lower() != ".svg" or not path.parent.is_dir()):
        raise UsageError(f"{path} is no place for a plot.", hint="Name a file FILE.svg in a folder that is there.")
    return path


Plot = Annotated[Path | None, typer.Option("--plot", help="Also draw it, as FILE.svg.", callback=_svg)]
Wait = Annotated[float, typer.Option(help="Seconds to wait for another writer.", min=0)]


def command(group: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function of a `Session` and its own parameters as the command `name`, with the shared options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for option, kind in _OPTIONS.items()
        ]

        @functools.wraps(function)
        def call(ctx: typer.Context, **arguments: Any) -> None:
            as_json, quiet, _ = (arguments.pop(option) for option in _OPTIONS)
            function(Session(ctx.obj, as_json=as_json, quiet=quiet), **arguments)

        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        call.__signature__ = inspect.Signature([context, *keywords, *shared])  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in (context, *keywords, *shared)}
        del call.__wrapped__
        group.command(name)(call)
        return function

    return register
