"""What may be typed next in the console: labels and edge types, their properties, clauses, functions, variables."""

from __future__ import annotations

import re

from ringwatch.graphs.schema import EDGES, NODES
from ringwatch.queries.vocabulary import FUNCTIONS, PROCEDURES, QUANTIFIERS, SHORTEST

CLAUSE_WORDS = (
    "MATCH", "OPTIONAL MATCH", "WHERE", "WITH", "UNWIND", "RETURN", "DISTINCT", "ORDER BY", "DESC", "SKIP", "LIMIT",
    "UNION", "AS", "AND", "OR", "NOT", "IN", "IS NULL", "IS NOT NULL", "STARTS WITH", "ENDS WITH", "CONTAINS", "CASE",
    "WHEN", "THEN", "ELSE", "END", "EXISTS {", "COUNT {", "CALL",
)  # fmt: skip
PROPERTIES = {
    **{label: (table.key, *table.columns) for label, table in NODES.items()},
    **{name: tuple(table.columns) for name, table in EDGES.items()},
}
"""Label or edge type → properties."""

_TAIL = re.compile(r"(?:(?P<mark>[:.|])[ \t]*)?(?P<word>[A-Za-z_][A-Za-z_0-9]*)?\Z")
_BOUND = re.compile(r"[(\[]\s*([A-Za-z_][A-Za-z_0-9]*)\s*:\s*([A-Za-z_0-9|]+)")
_VARIABLE = re.compile(r"(?:[(\[]\s*|\bAS\s+)([A-Za-z_][A-Za-z_0-9]*)", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|//[^\n]*|/\*[^*]*\*/", re.DOTALL)
_ORDER = tuple(sorted((*FUNCTIONS, *QUANTIFIERS, *SHORTEST, "reduce", "cast")))


def complete(text: str) -> tuple[str, list[str]]:
    """What is begun at the end of `text` (as much of it as would be replaced), and what it may become."""
    plain = _QUOTED.sub(lambda found: "_" * len(found[0]), text)
    if "'" in plain or '"' in plain or "//" in plain.rpartition("\n")[2]:
        return "", []  # inside a text or a comment
    found = _TAIL.search(plain)
    assert found is not None  # noqa: S101 (it matches nothing at the end, too)
    word, mark = found["word"] or "", found["mark"] or ""
    before = plain[: found.start()]
    opened, inside = _opened(before)
    if mark == ":" or (mark == "|" and ":" in inside):
        names = {"[": list(EDGES), "(": list(NODES)}.get(opened, [*NODES, *EDGES])
        if opened == "{":
            return word, []  # a value of a map
        return word, _begun(word, names)
    if mark == ".":
        owner = re.search(r"([A-Za-z_][A-Za-z_0-9]*)\Z", before)
        return word, _begun(word, _properties(plain, owner[1] if owner else ""))
    if opened == "{" and re.search(r"(\A|,)\s*\Z", inside):
        labels = re.search(r":\s*([A-Za-z_0-9|]+)\s*\Z", before[: len(before) - len(inside) - 1])
        if labels:
            return word, _begun(word, _of(labels[1]))
    if re.search(r"\bCALL\s+\Z", before, re.IGNORECASE):
        return word, _begun(word, sorted(PROCEDURES))
    if not word:
        return "", []
    variables = [name for name in dict.fromkeys(_VARIABLE.findall(plain)) if name.lower() != word.lower()]
    return word, _begun(word, [*variables, *CLAUSE_WORDS, *_ORDER])


def _opened(text: str) -> tuple[str, str]:
    """The bracket that is still open at the end of a text, and what follows it."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        if text[at] in ")]}":
            depth += 1
        elif text[at] in "([{":
            if not depth:
                return text[at], text[at + 1 :]
            depth -= 1
    return "", text


def _properties(text: str, variable: str) -> list[str]:
    """Of the labels that the variable has in the text; of all where it has none."""
    for name, labels in _BOUND.findall(text):
        if name == variable and _of(labels):
            return _of(labels)
    return sorted({one for names in PROPERTIES.values() for one in names})


def _of(labels: str) -> list[str]:
    return list(dict.fromkeys(one for label in labels.split("|") for one in PROPERTIES.get(label, ())))


def _begun(word: str, names: list[str]) -> list[str]:
    return [name for name in names if name.lower().startswith(word.lower())]
