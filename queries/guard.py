"""A guard by tokens: only statements that read get past it, in the dialect of either store (docs/adr/0006).

It knows what is harmless and refuses the rest: where a clause may begin there is a reading clause, what is called is
a known function, and two operands never stand side by side, as they would after a clause word that it does not know.
A store's own parser must split a statement as the guard does, so whatever parsers could read differently (escapes
\\uXXXX, which Neo4j resolves before it parses; a star inside a comment; lone carriage returns; letters beyond ASCII
outside quotes; a number that runs into a word) is refused too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ringwatch.errors import PolicyError
from ringwatch.graphs.store.base import GraphStore, Result

MAX_CHARACTERS = 100_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLAUSES = frozenset({"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN"})
_KEYWORDS = _CLAUSES | _words(
    """ACYCLIC ALL AND ANY AS ASC ASCENDING BY CASE CONTAINS DESC DESCENDING DISTINCT ELSE END ENDS FALSE IN IS LIMIT
    NOT NULL OFFSET OR ORDER SHORTEST SKIP STARTS THEN TRAIL TRUE UNION WHEN WHERE XOR"""
)
_ENDS_OPERAND = frozenset({"ASC", "ASCENDING", "DESC", "DESCENDING", "END", "FALSE", "NULL", "TRUE"})
_WRITING = _words(
    """ALTER ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT COPY CREATE DELETE DENY DETACH DROP EXPLAIN EXPORT FOREACH
    GRANT IMPORT INSERT INSTALL LOAD MERGE PROFILE REMOVE RENAME REVOKE ROLLBACK SET SHOW START STOP TERMINATE
    UNINSTALL UPDATE USE YIELD"""
)
"""Named only so that the refusal can say the word: what is in no list here is refused as well."""

_FUNCTIONS = _words(
    """abs acos all allshortestpaths any array_contains asin atan avg cast ceil ceiling char_length coalesce collect
    contains cos count date date_part date_trunc datetime degrees duration e element_id elementid endnode ends_with
    epoch_ms exists exp floor greatest haslabel head id interval isempty keys label labels last least left length
    list_append list_concat list_contains list_distinct list_extract list_position list_reverse list_slice list_sort
    list_sum list_unique localdatetime log log10 lower ltrim max min nodes none nullif offset pi point prefix
    percentilecont percentiledisc properties radians range reduce rels relationships replace reverse right round rtrim
    shortestpath sign sin single size split sqrt starts_with startnode stdev stdevp string_split substring suffix sum
    tail tan timestamp to_epoch_ms toboolean tofloat tofloatornull tointeger tointegerornull tolower tostring
    tostringornull toupper trim type typeof upper valuetype"""
)
_NAMESPACES = frozenset({"date", "datetime", "duration", "localdatetime", "point"})

_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+|\r\n|//[^\n]*|/\*[^*]*\*/)
      | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<quoted>(?:`[^`]*`)+)
      | (?P<parameter>\$(?:[A-Za-z_0-9]+|`[^`]*`))
      | (?P<number>(?:0[xXoO][0-9A-Fa-f]+|\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![A-Za-z_0-9]))
      | (?P<word>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<sign>[-()\[\]{}<>=+*/%^.,:;|&!~?])""",
    re.VERBOSE | re.DOTALL,
)
_ODD = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|\r(?!\n)")
_OPERANDS = ("string", "quoted", "parameter", "number")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


def check(cypher: str) -> None:
    """Lets a statement pass that only reads, and reads only the graph.

    Raises:
        PolicyError: it would write, reach files or the network, or cannot be told from one that would.
    """
    if len(cypher) > MAX_CHARACTERS:
        raise _refused(f"it is longer than {MAX_CHARACTERS} characters")
    if _ODD.search(cypher):
        raise _refused("it holds a control character or a lone carriage return")
    if re.search(r"\\u", cypher, re.IGNORECASE):
        raise _refused("it holds an escape \\u", hint="Write the letter itself, or pass the text as a parameter.")
    tokens = _tokens(cypher)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise _refused("it is empty")
    start = _Token("start", "")
    for at, token in enumerate(tokens):
        before = tokens[at - 1] if at else start
        after = tokens[at + 1] if at + 1 < len(tokens) else start
        if token.text == ";":
            raise _refused("it is more than one statement")
        if token.text == "(":
            _check_call(tokens, at)
        elif token.kind == "word" and not _is_name(tokens, at):
            _check_word(token, after)
        elif token.kind in _OPERANDS and _ends_operand(before, tokens, at - 1):
            raise _refused(f"'{before.text}' is no clause that it knows")
    _check_starts(tokens)


def ask(
    store: GraphStore,
    cypher: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    limit: int = 1000,
    timeout: float = 30.0,
) -> Result:
    """Runs a statement that somebody wrote, when it passes `check`; at most `limit` rows, at most `timeout` seconds.

    Raises:
        PolicyError: the guard refuses it, or it takes too long.
        UsageError, UnavailableError: as `GraphStore.query`.
    """
    check(cypher)
    return store.query(cypher, parameters, limit=limit, timeout=timeout)


def _tokens(cypher: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(cypher):
        found = _TOKEN.match(cypher, at)
        if found is None:
            raise _refused(
                f"it cannot be read at '{cypher[at : at + 12]}'", hint="Letters beyond ASCII belong in quotes."
            )
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, found[0]))
        at = found.end()
    return tokens


def _is_name(tokens: list[_Token], at: int) -> bool:
    """Whether a word is a property (after one point that follows no number) or a label or type (after a colon)."""
    before = tokens[at - 1].text if at else ""
    if before == ".":
        return at < 2 or (tokens[at - 2].kind != "number" and tokens[at - 2].text != ".")
    return before == ":"


def _ends_operand(token: _Token, tokens: list[_Token], at: int) -> bool:
    if token.kind in _OPERANDS or token.text in (")", "]", "}"):
        return True
    return token.kind == "word" and (
        token.word not in _KEYWORDS or token.word in _ENDS_OPERAND or _is_name(tokens, at)
    )


def _check_word(token: _Token, after: _Token) -> None:
    if token.word in _WRITING:
        raise _refused(
            f"{token.word} is no reading clause",
            hint="A query may MATCH, UNWIND, WITH and RETURN; a name like that belongs in backquotes.",
        )
    if token.word == "OPTIONAL" and after.word != "MATCH":
        raise _refused("OPTIONAL is not followed by MATCH")


def _check_call(tokens: list[_Token], at: int) -> None:
    """What stands before a parenthesis: nothing, a sign, a keyword, or a function that is known."""
    name = tokens[at - 1] if at else _Token("start", "")
    if name.kind == "quoted":
        raise _refused(f"{name.text} is called, and is no function that it knows")
    if name.kind != "word":
        return
    if at >= 2 and tokens[at - 2].text == ".":
        first = tokens[at - 3] if at >= 3 else name
        deeper = at >= 4 and tokens[at - 4].text == "."
        if first.text.lower() not in _NAMESPACES or deeper:
            raise _refused(f"{first.text}.{name.text} is no function that it knows")
    elif name.word not in _KEYWORDS and name.text.lower() not in _FUNCTIONS and not _is_name(tokens, at - 1):
        raise _refused(f"{name.text} is no function that it knows")


def _check_starts(tokens: list[_Token]) -> None:
    """A statement, and each part of a union, begins with a reading clause; no operand is followed by a word that is
    no keyword."""
    if tokens[0].word not in _CLAUSES:
        raise _refused(f"it begins with '{tokens[0].text}'", hint="Begin with MATCH, UNWIND, WITH or RETURN.")
    for at, (first, second) in enumerate(pairwise(tokens)):
        if first.word == "UNION" and not _is_name(tokens, at) and second.word not in _CLAUSES | {"ALL", "DISTINCT"}:
            raise _refused(f"UNION is followed by '{second.text}'")
        if (
            second.kind == "word"
            and second.word not in _KEYWORDS
            and not _is_name(tokens, at + 1)
            and _ends_operand(first, tokens, at)
        ):
            raise _refused(f"'{second.text}' is no clause that it knows")


def _refused(why: str, *, hint: str = "Only statements that read the graph are run.") -> PolicyError:
    return PolicyError(f"The query is refused: {why}.", hint=hint)
