"""The library as a page of Markdown: `python -m ringwatch.queries.documents > docs/queries.md`."""

from __future__ import annotations

from ringwatch.queries.library import GROUPS, Parameter, Query, library

_OPENING = """\
# The investigators' questions

Written from the headers of `queries/cypher` by `python -m ringwatch.queries.documents > docs/queries.md`. Ask one
with `ringwatch query run NAME --param NAME=VALUE`; it is the same on the embedded store and on Neo4j. Aggregates over
fewer than `anonymity_k` accounts (5) that are in no open case are withheld, unless the question starts at a node by
its name.

"""


def page() -> str:
    """All questions by group: when to ask, what they take, what they return, an example."""
    queries = library().values()
    parts = [_OPENING]
    parts += [f"- [{group}](#{group.replace(' ', '-')}): {_named(group)}\n" for group in GROUPS]
    for group in GROUPS:
        parts.append(f"\n## {group.capitalize()}\n")
        parts += [_section(query) for query in queries if query.group == group]
    return "".join(parts)


def _named(group: str) -> str:
    return ", ".join(f"`{query.name}`" for query in library().values() if query.group == group)


def _section(query: Query) -> str:
    lines = ["", f"### {query.name}", "", f"{query.question} {query.when}", ""]
    lines += [_parameter(parameter) for parameter in query.parameters]
    lines += [f"- Returns {', '.join(f'`{column}`' for column in query.columns)}."]
    if query.maturity != "stable":
        lines += [f"- *{query.maturity.capitalize()}.*"]
    given = "".join(f" --param {name}={value}" for name, value in query.example.items())
    lines += [f"- `ringwatch query run {query.name}{given}`", ""]
    return "\n".join(lines)


def _parameter(parameter: Parameter) -> str:
    default = "" if parameter.required else f", {parameter.document()['default']} where it is not given"
    return f"- `{parameter.name}` ({parameter.type}{default}): {parameter.doc}"


if __name__ == "__main__":
    print(page(), end="")
