"""The six tables of a drop: their columns, what each may hold, and how the event log keeps it. Named here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ringwatch.config import Config

Kind = Literal[
    "id",  # identifier, kept as given
    "text",  # short text, kept as given
    "enum",  # one of `values`
    "time",  # instant, microseconds UTC
    "bool",
    "count",  # whole number, not negative
    "number",  # finite
    "score",  # 0 to 1
    "country",  # ISO 3166-1 alpha-2
    "entity",  # value of the entity type `entity`; tokenised
    "typed",  # value of the entity type that column `entity_type` names; tokenised
    "session",  # keyed hash
    "prompt",  # keyed hash and sketches
    "json",  # JSON text: shape and keyed hashes
    "note",  # to the vault alone
]


@dataclass(frozen=True)
class Column:
    """A column of the input. `log` is its name in the event log (None: it is not kept there)."""

    name: str
    kind: Kind
    required: bool = False
    values: tuple[str, ...] = ()
    entity: str = ""
    log: str | None = None

    @property
    def log_name(self) -> str:
        return self.log or self.name


@dataclass(frozen=True)
class Table:
    """A table of the input, and the columns (name → DuckDB type) of its file in the event log."""

    name: str
    columns: tuple[Column, ...]
    log: dict[str, str]

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)


EVENT_KINDS = ("signup", "login", "payment", "chat", "api", "tool_call", "other")
STATUSES = ("active", "suspended", "closed")
LABELS = ("abusive", "benign")

TABLE_NAMES = ("accounts", "events", "links", "relations", "entities", "labels")

_TIME = "TIMESTAMPTZ"


def tables(config: Config) -> dict[str, Table]:
    """The contract as this workspace extends it by declared names."""
    types, relation_kinds, entity_kinds = (
        config.all_entity_types,
        config.all_relation_kinds,
        config.all_entity_kinds,
    )
    return {
        "accounts": Table(
            "accounts",
            (
                Column("account_id", "id", required=True),
                Column("created_at", "time"),
                Column("org_id", "id"),
                Column("email", "entity", entity="email"),
                Column("phone", "entity", entity="phone"),
                Column("country", "country"),
                Column("plan", "text"),
                Column("status", "enum", values=STATUSES),
                Column("updated_at", "time"),
            ),
            {
                "account_id": "VARCHAR", "created_at": _TIME, "org_id": "VARCHAR", "email": "BIGINT",
                "phone": "BIGINT", "country": "VARCHAR", "plan": "VARCHAR", "status": "VARCHAR",
                "updated_at": _TIME, "content_key": "UUID",
            },
        ),
        "events": Table(
            "events",
            (
                Column("event_id", "id", required=True, log="event_key"),
                Column("ts", "time", required=True),
                Column("account_id", "id", required=True),
                Column("kind", "enum", required=True, values=EVENT_KINDS),
                Column("session_id", "session", log="session"),
                Column("ip", "entity", entity="ip"),
                Column("device_id", "entity", entity="device", log="device"),
                Column("payment_id", "entity", entity="payment", log="payment"),
                Column("user_agent", "entity", entity="user_agent"),
                Column("model", "text"),
                Column("prompt", "prompt"),
                Column("tool", "text"),
                Column("tool_args", "json"),
                Column("refused", "bool"),
                Column("harm", "text"),
                Column("harm_score", "score"),
                Column("tokens", "count"),
                Column("amount", "number"),
                Column("currency", "text"),
            ),
            {
                "event_key": "UUID", "content_key": "UUID", "ts": _TIME, "account_id": "VARCHAR",
                "kind": "VARCHAR", "session": "BIGINT", "ip": "BIGINT", "device": "BIGINT", "payment": "BIGINT",
                "user_agent": "BIGINT", "model": "VARCHAR", "prompt": "BIGINT", "tool": "VARCHAR",
                "tool_shape": "BIGINT", "tool_values": "BIGINT[]", "tool_args": "BIGINT", "refused": "BOOLEAN",
                "harm": "VARCHAR", "harm_score": "DOUBLE", "tokens": "BIGINT", "amount": "DOUBLE",
                "currency": "VARCHAR",
            },
        ),
        "links": Table(
            "links",
            (
                Column("account_id", "id", required=True),
                Column("entity_type", "enum", required=True, values=types),
                Column("entity_id", "typed", required=True, log="entity"),
                Column("ts", "time"),
                Column("count", "count"),
            ),
            {
                "account_id": "VARCHAR", "entity_type": "VARCHAR", "entity": "BIGINT", "ts": _TIME,
                "count": "BIGINT", "content_key": "UUID",
            },
        ),
        "relations": Table(
            "relations",
            (
                Column("src_account_id", "id", required=True),
                Column("dst_account_id", "id", required=True),
                Column("kind", "enum", required=True, values=relation_kinds),
                Column("ts", "time"),
                Column("count", "count"),
                Column("amount", "number"),
            ),
            {
                "src_account_id": "VARCHAR", "dst_account_id": "VARCHAR", "kind": "VARCHAR", "ts": _TIME,
                "count": "BIGINT", "amount": "DOUBLE", "content_key": "UUID",
            },
        ),
        "entities": Table(
            "entities",
            (
                Column("entity_type", "enum", required=True, values=types),
                Column("entity_id", "typed", required=True, log="entity"),
                Column("kind", "enum", required=True, values=entity_kinds),
                Column("note", "note"),
            ),
            {"entity_type": "VARCHAR", "entity": "BIGINT", "kind": "VARCHAR", "content_key": "UUID"},
        ),
        "labels": Table(
            "labels",
            (
                Column("account_id", "id", required=True),
                Column("label", "enum", required=True, values=LABELS),
                Column("labelled_at", "time", required=True),
                Column("source", "text"),
                Column("group_id", "id"),
                Column("reviewer", "text"),
            ),
            {
                "account_id": "VARCHAR", "label": "VARCHAR", "labelled_at": _TIME, "source": "VARCHAR",
                "group_id": "VARCHAR", "reviewer": "VARCHAR", "content_key": "UUID",
            },
        ),
    }  # fmt: skip


PROMPTS_LOG = {"prompt": "BIGINT", "sketch": "UINTEGER[]", "bag": "USMALLINT[]", "words": "INTEGER"}
TOKENS_LOG = {
    "entity_type": "VARCHAR", "entity": "BIGINT", "token": "VARCHAR", "parent": "VARCHAR", "family": "BIGINT",
    "shape": "BIGINT", "label": "VARCHAR", "disposable": "BOOLEAN",
}  # fmt: skip

_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW "
)

COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2 codes in force."""
