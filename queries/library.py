"""The investigators' library: one `.cypher` file per question, its header read into a `Query`.

A file begins with comment lines `// field: text` and ends with one read-only statement:

    // question: Which accounts pay with this card?       what an investigator asks, one sentence
    // when: A card is known to be stolen.                when to ask it
    // group: entities                                    one of GROUPS
    // maturity: stable                                   one of MATURITIES
    // param: payment string - Token of the card.         name, type, default (- if it must be given), what it is
    // columns: account_id, uses                          what RETURN names, in its order
    // example: payment=payment_01                        values of parameters, separated by blanks

The name of the query is that of the file. Statements keep to what Ladybug and Neo4j 5.26 read alike (docs: README of
the folder `cypher`), which `tests/contract/test_queries.py` holds them to.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from ringwatch.clock import parse_time
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.graphs.store.base import GraphStore
from ringwatch.queries.anonymity import Anonymity, Answer, protect, withhold
from ringwatch.queries.guard import Bounds, check

GROUPS = ("pivot", "entity", "organization", "prompts and agents", "time", "cluster", "safeguards")
MATURITIES = ("stable", "experimental")
TYPES = ("string", "int", "float", "bool", "time")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_FIELD = re.compile(r"//\s*([a-z]+):\s*(.*?)\s*\Z")
_PARAM = re.compile(r"([a-z][a-z0-9_]*)\s+([a-z]+)\s+(\S+)\s+(.+)\Z")
_SINGLE = ("question", "when", "group", "maturity", "columns", "example")


@dataclass(frozen=True)
class Parameter:
    """A value that a query takes. Without a default it must be given. A time is a datetime with an offset."""

    name: str
    type: str
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        return self.default is None

    def read(self, value: object) -> Any:
        """`value`, or the value that the text `value` stands for, as this parameter's type.

        Raises:
            UsageError: it is no value of this type.
        """
        try:
            return _read(self.type, value)
        except (ValueError, UsageError) as error:
            raise UsageError(
                f"Parameter '{self.name}' is no {self.type}: {value!r}.", hint=f"{self.doc} {_SHAPES[self.type]}"
            ) from error

    def document(self) -> dict[str, Any]:
        default = self.default.isoformat() if isinstance(self.default, datetime) else self.default
        return {"name": self.name, "type": self.type, "required": self.required, "default": default, "doc": self.doc}


@dataclass(frozen=True)
class Query:
    """A question with its statement: why and when to ask it, what it takes, what it returns."""

    name: str
    question: str
    when: str
    group: str
    maturity: str
    parameters: tuple[Parameter, ...]
    columns: tuple[str, ...]
    example: dict[str, str]
    cypher: str

    def bind(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Values of all parameters: those given, typed, and the defaults of the others.

        Raises:
            UsageError: one is unknown, missing, or no value of its type.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        takes = f"'{self.name}' takes: {', '.join(known) or 'nothing'}."
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UsageError(f"Query '{self.name}' has no parameter '{unknown[0]}'.", hint=takes)
        missing = [name for name, parameter in known.items() if parameter.required and name not in given]
        if missing:
            raise UsageError(
                f"Query '{self.name}' needs the parameter '{missing[0]}'.",
                hint=f"Give it as --param {missing[0]}=VALUE: {known[missing[0]].doc}",
            )
        return {
            name: parameter.read(given[name]) if name in given else parameter.default
            for name, parameter in known.items()
        }

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "question": self.question,
            "when": self.when,
            "group": self.group,
            "maturity": self.maturity,
            "parameters": [parameter.document() for parameter in self.parameters],
            "columns": list(self.columns),
            "example": dict(self.example),
            "cypher": self.cypher,
        }


_SHAPES = {
    "string": "It is a text that is not empty.",
    "int": "Write it like 7.",
    "float": "Write it like 0.5.",
    "bool": "Write true or false.",
    "time": "Write it like 2026-03-01T00:00:00Z.",
}


def _read(kind: str, value: object) -> Any:
    if kind == "time":
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, str):
            return parse_time(value)
    elif kind == "bool":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
    elif kind == "string":
        if isinstance(value, str) and value:
            return value
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        number = float(value) if kind == "float" else int(value)
        # 7.5 is no int, and int() would make 7 of it; nor has a store a use for an infinite limit.
        if math.isfinite(number) and (isinstance(value, str) or number == value) and abs(number) < 2**63:
            return number
    raise ValueError(kind)


def parse_query(name: str, text: str) -> Query:
    """A `Query` from a file's name (without `.cypher`) and text.

    Raises:
        RingwatchError: the header lacks a field, has one that is unknown or malformed, or there is no statement.
    """

    def wrong(what: str) -> RingwatchError:
        return RingwatchError(f"Library query '{name}': {what}.", hint="Correct the header of its file.")

    if not _NAME.match(name):
        raise wrong("the name is not of the form word-word")
    fields: dict[str, str] = {}
    parameters: list[Parameter] = []
    statement: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("//"):
            statement.append(line)
            continue
        found = _FIELD.match(line)
        if found is None or statement:
            raise wrong(f"line {number} is no header field")
        field, value = found[1], found[2]
        if field == "param":
            parameters.append(_parameter(value, lambda what, at=number: wrong(f"line {at}: {what}")))
        elif field not in _SINGLE or field in fields:
            raise wrong(f"line {number}: the field '{field}' is unknown or there twice")
        else:
            fields[field] = value
    missing = [field for field in _SINGLE if field not in fields or (not fields[field] and field != "example")]
    if missing:
        raise wrong(f"the field '{missing[0]}' is missing")
    if fields["group"] not in GROUPS:
        raise wrong(f"the group '{fields['group']}' is none of {', '.join(GROUPS)}")
    if fields["maturity"] not in MATURITIES:
        raise wrong(f"the maturity '{fields['maturity']}' is none of {', '.join(MATURITIES)}")
    cypher = "\n".join(statement).strip()
    if not cypher:
        raise wrong("there is no statement")
    pairs = [pair.partition("=") for pair in shlex.split(fields["example"])]
    return Query(
        name=name,
        question=fields["question"],
        when=fields["when"],
        group=fields["group"],
        maturity=fields["maturity"],
        parameters=tuple(parameters),
        columns=tuple(column.strip() for column in fields["columns"].split(",")),
        example={key: value for key, _, value in pairs},
        cypher=cypher,
    )


def _parameter(text: str, wrong: Any) -> Parameter:
    found = _PARAM.match(text)
    if found is None:
        raise wrong("a parameter is written: name type default what it is")
    name, kind, default, doc = found.groups()
    if kind not in TYPES:
        raise wrong(f"the type '{kind}' is none of {', '.join(TYPES)}")
    if default == "-":
        return Parameter(name, kind, None, doc)
    try:
        return Parameter(name, kind, _read(kind, default), doc)
    except (ValueError, UsageError) as error:
        raise wrong(f"the default '{default}' is no {kind}") from error


@cache
def library() -> dict[str, Query]:
    """All queries by name, in the order of groups and names.

    Raises:
        RingwatchError: a file of the library is malformed.
    """
    folder = files("ringwatch.queries") / "cypher"
    found = [
        parse_query(file.name.removesuffix(".cypher"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".cypher")
    ]
    return {query.name: query for query in sorted(found, key=lambda query: (GROUPS.index(query.group), query.name))}


def find(name: str) -> Query:
    """The query of this name.

    Raises:
        UsageError: there is none.
    """
    queries = library()
    if name not in queries:
        raise UsageError(f"There is no query '{name}'.", hint="See `ringwatch query list`.")
    return queries[name]


def run(
    store: GraphStore,
    name: str,
    params: Mapping[str, object] | None = None,
    limit: int = 1000,
    *,
    timeout: float = Bounds.seconds,
    anonymity: Anonymity | None = None,
) -> Answer:
    """Runs a query of the library on a store, read-only; at most `limit` rows, at most `timeout` seconds. With
    `anonymity`, rows made from few accounts are withheld.

    `params`: values, or the text that stands for them.

    Raises:
        UsageError: there is no such query, or its parameters are wrong.
        PolicyError, UnavailableError: as `GraphStore.query` does.
    """
    query, rule = find(name), anonymity or Anonymity(k=1)
    bound = query.bind(params or {})
    cypher, more = protect(query.cypher, check(query.cypher), rule)
    return withhold(store.query(cypher, {**bound, **more}, limit=limit, timeout=timeout), rule)
