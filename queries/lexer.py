"""Cypher as tokens: the first half of the guard (docs/adr/0020).

Both stores must split a statement as this does. Whatever their parsers could read differently is therefore no token
at all: escapes \\uXXXX, which Neo4j resolves before it parses; a star inside a comment; lone carriage returns; other
blanks than space, tab and newline; letters beyond ASCII outside quotes; a number that runs into a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ringwatch.errors import PolicyError

MAX_CHARACTERS = 100_000

Kind = Literal["string", "quoted", "parameter", "number", "word", "sign", "end"]

_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+|\r\n|//[^\n]*|/\*[^*]*\*/)
      | (?P<string>'(?:[^'\\]|\\['"\\bfnrt])*'|"(?:[^"\\]|\\['"\\bfnrt])*")
      | (?P<quoted>(?:`[^`]*`)+)
      | (?P<parameter>\$(?:[A-Za-z_][A-Za-z_0-9]*|`[^`]+`))
      | (?P<number>(?:0[xX][0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![A-Za-z_0-9`'"]))
      | (?P<word>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<sign>[-()\[\]{}<>=+*/%^.,:;|&!~])""",
    re.VERBOSE,
)
_ODD = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\r(?!\n)")
_ESCAPED = re.compile(r"\\u", re.IGNORECASE)
HINT = "Only statements that read the graph are run."


@dataclass(frozen=True)
class Token:
    """A token and where it stands: characters `start` to `end` of the statement, without the end."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A bare word in capitals; nothing for any other token. A name in backquotes is no keyword."""
        return self.text.upper() if self.kind == "word" else ""


def refused(why: str, *, hint: str = HINT) -> PolicyError:
    """The one sentence of every refusal."""
    return PolicyError(f"The query is refused: {why}.", hint=hint)


def place(text: str, at: int) -> str:
    """Where the character `at` is, as people count: line 1, column 7."""
    before = text[:at]
    return f"line {before.count(chr(10)) + 1}, column {at - before.rfind(chr(10))}"


def tokenize(text: str) -> list[Token]:
    """The tokens of a statement, blanks and comments left out, then one `end`.

    Raises:
        PolicyError: it holds something that the stores might read differently, or that is no Cypher.
    """
    if len(text) > MAX_CHARACTERS:
        raise refused(f"it is longer than {MAX_CHARACTERS} characters")
    if _ODD.search(text):
        raise refused("it holds a control character or a lone carriage return")
    if _ESCAPED.search(text):
        raise refused("it holds an escape \\u", hint="Write the letter itself, or pass the text as a parameter.")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise refused(
                f"it cannot be read at {place(text, at)}",
                hint="Close quotes and comments; a comment holds no star, a name beyond ASCII belongs in backquotes.",
            )
        if found.lastgroup != "space":
            tokens.append(Token(found.lastgroup, found[0], at, found.end()))  # type: ignore[arg-type]
        at = found.end()
    tokens.append(Token("end", "", at, at))
    return tokens
