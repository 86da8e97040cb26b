"""From what a person holds to a token: an original by the keys, a token cut short by the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ringwatch.audit import record
from ringwatch.errors import UsageError
from ringwatch.ingest.dictionary import TokenMaker
from ringwatch.ingest.log import EventLog, literal
from ringwatch.workspace import Current, Workspace

_SHORT = re.compile(r"([a-z][a-z0-9_]{0,31})_([0-9a-f]{4,31})(…|\.\.\.)?\Z")


@dataclass(frozen=True)
class Known:
    """A token of the log. `parent`: the network of an address, the domain of a mailbox; `label`: the family of a user
    agent."""

    token: str
    type: str
    parent: str | None
    label: str | None


def find_value(workspace: Workspace, current: Current, value: str, types: Sequence[str] = ()) -> list[Known]:
    """The tokens that an original would have, as any of the types (all), of those that the log knows. The audit log
    has the tokens that were found, never the value.

    Raises:
        UsageError: a type is not declared.
    """
    config = workspace.config
    unknown = [name for name in types if name not in config.all_entity_types]
    if unknown:
        raise UsageError(
            f"There is no entity type '{unknown[0]}'.", hint=f"There are {', '.join(config.all_entity_types)}."
        )
    maker = TokenMaker(workspace.secret(current.token_key), config)
    raw = pa.array([value])
    made = [maker.make(name, raw) for name in types or config.all_entity_types]
    tokens = [rows["token"][0].as_py() for rows, _, bad in made if not bad[0].is_valid]
    found = _known(workspace, current, f"token IN ({', '.join(map(literal, tokens))})") if tokens else []
    record(workspace.audit_path, "find", tokens=[one.token for one in found])
    return found


def whole_token(workspace: Workspace, current: Current, text: str) -> str:
    """A token of which the first digits are given, as tables show it, in full; any other text as it is.

    Raises:
        UsageError: the digits are the beginning of several tokens.
    """
    form = _SHORT.match(text)
    if form is None or (form[1] not in workspace.config.all_entity_types):
        return text
    begun = f"{form[1]}_{form[2]}"
    found = _known(workspace, current, f"starts_with(token, {literal(begun)}) LIMIT 2")
    if len(found) > 1:
        raise UsageError(f"Several tokens begin with {begun}.", hint="Give more of its digits; --full shows all.")
    return found[0].token if found else text


def _known(workspace: Workspace, current: Current, where: str) -> list[Known]:
    with duckdb.connect() as con:
        EventLog(workspace, current).attach(con)
        rows = con.execute(f"SELECT token, entity_type, parent, label FROM tokens WHERE {where}").fetchall()
    return sorted((Known(*row) for row in rows), key=lambda one: (one.type, one.token))
