"""Where a passphrase comes from: a file, the environment or the terminal; never an argument, which others see."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.errors import UsageError

VARIABLE, BY_VARIABLE = "RINGWATCH_PASSPHRASE", "RINGWATCH_BY_PASSPHRASE"

PassphraseFile = Annotated[
    Path | None, typer.Option(help=f"A file whose first line is the passphrase; else {VARIABLE}, else a prompt.")
]


def passphrase(name: str, file: Path | None, *, variable: str = VARIABLE, confirm: bool = False) -> str:
    """The passphrase of a reviewer.

    Raises:
        UsageError: there is no file, nothing in the environment and no terminal to ask at.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read as a passphrase.", hint="Its first line is the one.") from error
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise UsageError(f"The passphrase of {name} is needed.", hint=f"Give --passphrase-file, or set {variable}.")
    return str(typer.prompt(f"Passphrase of {name}", hide_input=True, confirmation_prompt=confirm, err=True))
