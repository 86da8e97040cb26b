"""What the console remembers between sessions: statements without what may be an original."""

from __future__ import annotations

import os
from pathlib import Path

from ringwatch.config import TOKEN
from ringwatch.errors import PolicyError
from ringwatch.queries.lexer import tokenize

FILE = "console.history"
_KEPT = 1000
_LONGEST_NUMBER = 5


def without_originals(statement: str) -> str | None:
    """The statement on one line, with `'…'` for its texts and 0 for its long numbers, and without comments; tokens
    stay. None where it cannot be read, or where a name is in backquotes, which can hold anything."""
    try:
        tokens = tokenize(statement)[:-1]
    except PolicyError:
        return None
    if any(token.kind == "quoted" or "`" in token.text for token in tokens if token.kind != "string"):
        return None
    said, end = "", None
    for token in tokens:
        text = token.text
        if token.kind == "string" and not TOKEN.fullmatch(text[1:-1]):
            text = "'…'"
        elif token.kind == "number" and len(text) > _LONGEST_NUMBER:
            text = "0"
        said += (" " if end is not None and token.start > end else "") + text
        end = token.end
    return said or None


def read_history(path: Path) -> list[str]:
    """What is remembered, oldest first."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def remember(path: Path, statement: str) -> None:
    """Adds a statement to the file, which only its owner may read; it keeps the last thousand."""
    kept = without_originals(statement)
    lines = read_history(path)
    if kept is None or lines[-1:] == [kept]:
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(handle, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write("".join(f"{line}\n" for line in [*lines, kept][-_KEPT:]))
