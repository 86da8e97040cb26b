"""A tool call without its words: the shape of its arguments, and keyed hashes of what it was aimed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from ringwatch.ingest.json_lines import json_depth
from ringwatch.ingest.tokens import Tokeniser

_SHORTEST = 4
_MOST_VALUES = 64


@dataclass(frozen=True)
class Call:
    """`shape`: tool and structure of the arguments; `values`: hashes of their strings and numbers of four characters
    or more (shorter ones are settings, not targets); `args`: the arguments whole. `bad` says why there are none."""

    shape: int | None = None
    values: list[int] | None = None
    args: int | None = None
    bad: str | None = None


def describe_call(tool: str, raw: str, hasher: Tokeniser, *, depth: int) -> Call:
    """Describes a call by its tool's name and its arguments as JSON text; either may be empty, not both.

    Order of keys and blanks between tokens make no difference.
    """

    def code(kind: str, text: str) -> int:
        return int.from_bytes(
            hasher.digest(f"{kind}\x1f{text}".encode("utf-8", "surrogatepass"))[:8], "big", signed=True
        )

    if not raw:
        return Call(shape=code("shape", tool))
    if raw.count("[") + raw.count("{") > depth and json_depth(raw) > depth:
        return Call(bad="json_too_deep")
    try:
        arguments = json.loads(raw, parse_constant=_refuse)
        whole = json.dumps(arguments, sort_keys=True)
    except ValueError:
        return Call(bad="bad_json")
    except RecursionError:  # the limit was set beyond what the interpreter can follow
        return Call(bad="json_too_deep")
    values = sorted({code("value", text) for text in _leaves(arguments) if len(text) >= _SHORTEST})[:_MOST_VALUES]
    return Call(code("shape", f"{tool}\x1f{_shape(arguments)}"), values or None, code("args", whole))


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value.strip()
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_shape(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({_shape(item) for item in value})) + "]"
    return "n" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__[0]
