"""The contract as SQL: from a source's columns to typed values, the reason why a row breaks it, and its content key.

A row is judged by one CASE over vectors, not row by row. What is the same for equal values (addresses, tokens, tool
arguments) was judged before, once per distinct value, and is joined here (`dictionary`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringwatch.config import Config
from ringwatch.ingest.contract import COUNTRIES, Column, Table
from ringwatch.ingest.log import literal, quoted
from ringwatch.ingest.readers import FEATURE
from ringwatch.ingest.report import Mode

ROW_BITS = 40
"""A row of the batch is `source number << ROW_BITS | row number`."""

_ISO = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|z|[+-]\d{2}(:?\d{2})?)?)?"
_FIRST_MOMENT = -2_208_988_800_000_000  # 1900-01-01, µs
_LAST_MOMENT = 7_258_118_400_000_000  # 2200-01-01, µs: all that int64 nanoseconds can hold, with room
_UNIT_MICROSECONDS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}
_EXACT = 9_007_199_254_740_992  # 2**53: beyond, a double does not count in ones
_FLOATS = ("FLOAT", "DOUBLE")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "DATE")
_UNIT_SEPARATOR = "chr(31)"  # no value holds one: control characters are refused


@dataclass
class Plan:
    """What becomes of one column: `raw` (in the innermost SELECT), `value` and `content` (over raw and joins), and
    `checks`: condition under which it breaks the contract, reason, whether that costs the row in every mode."""

    raw: str = ""
    value: str = ""
    content: str = ""
    checks: list[tuple[str, str, bool]] = field(default_factory=list)
    join: str = ""


def text_of(name: str, kind: str) -> str:
    """A column of any type as text; empty text is no value."""
    column = quoted(name)
    if kind == "VARCHAR":
        return f"nullif({column}, '')"
    if kind in _FLOATS:  # pandas keeps whole numbers with gaps as floats
        whole = f"{column} = trunc({column}) AND abs({column}) < {_EXACT}"
        whole = f"WHEN {whole} THEN {column}::BIGINT::VARCHAR"
        return f"CASE WHEN isnan({column}) THEN NULL {whole} ELSE {column}::VARCHAR END"
    if kind == "JSON" or "[" in kind or kind.startswith(("STRUCT", "MAP")):
        return f"to_json({column})::VARCHAR"
    return f"nullif({column}::VARCHAR, '')"


def _number(column: Column | None, name: str, kind: str) -> Plan:
    """`count`, `score`, `number` and features (no column)."""
    native = kind in _FLOATS or kind in _INTEGERS or kind.startswith("DECIMAL")
    raw = f"{quoted(name)}::DOUBLE" if native else text_of(name, kind)
    r = quoted(f"r_{name}")
    d = r if native else f"try_cast({r} AS DOUBLE)"
    if column is None and not native:  # a flag is the number 0 or 1
        d = f"CASE lower({r}) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE {d} END"
    what = column.kind if column else "number"
    checks = [(f"{r} IS NOT NULL AND ({d} IS NULL OR isinf({d}))", "bad_number", False)]
    fits = f"isfinite({d})"
    value = f"{d} + 0.0"  # one zero, not two
    if what == "count":
        checks.append((f"isfinite({d}) AND {d} < 0", "negative_count", False))
        checks.append((f"isfinite({d}) AND ({d} != trunc({d}) OR {d} > {_EXACT})", "bad_number", False))
        fits += f" AND {d} >= 0 AND {d} = trunc({d}) AND {d} <= {_EXACT}"
        value = f"{d}::BIGINT"
    elif what == "score":
        checks.append((f"isfinite({d}) AND ({d} < 0 OR {d} > 1)", "score_out_of_range", False))
        fits += f" AND {d} BETWEEN 0 AND 1"
    return Plan(raw, f"CASE WHEN {fits} THEN {value} END", "{v}::VARCHAR", checks)


def _time(column: Column, kind: str, config: Config) -> Plan:
    name, r = column.name, quoted(f"r_{column.name}")
    if kind in _TIMES:
        # A cast rounds nanoseconds; without one they are cut off, as those of text are.
        exact = kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP_NS")
        raw = f"epoch_us({quoted(name) if exact else f'try_cast({quoted(name)} AS TIMESTAMP)'})"
        # An infinite time, or one of a year that is too far, has no microseconds; it must not pass for a missing one.
        raw = f"CASE WHEN {quoted(name)} IS NOT NULL THEN coalesce({raw}, {_LAST_MOMENT}) END"
        inside = f"{r} >= {_FIRST_MOMENT} AND {r} < {_LAST_MOMENT}"
        return Plan(
            raw, f"CASE WHEN {inside} THEN {r} END", "{v}", [(f"NOT ({inside})", "bad_time", column.required)]
        )
    raw = text_of(name, kind)
    bare = f"regexp_full_match({r}, '[+-]?[0-9]+')"
    checks: list[tuple[str, str, bool]] = []
    moment = (
        f"CASE WHEN regexp_full_match({r}, {literal(_ISO)})"
        f" THEN epoch_us(try_cast(translate({r}, ',z', '.Z') AS TIMESTAMPTZ)) END"
    )
    if config.time_unit is None:
        checks.append((bare, "time_without_unit", column.required))
    else:
        # No product of such a number overflows: what has more digits than BIGINT is out of all time.
        whole = f"try_cast({r} AS BIGINT)::HUGEINT"
        counted = f"try_cast(floor({whole} * {_UNIT_MICROSECONDS[config.time_unit]}) AS BIGINT)"
        moment = f"CASE WHEN {bare} THEN {counted} ELSE {moment} END"
    value = f"CASE WHEN {moment} >= {_FIRST_MOMENT} AND {moment} < {_LAST_MOMENT} THEN {moment} END"
    other = f" AND NOT {bare}" if config.time_unit is None else ""
    checks.append((f"{r} IS NOT NULL{other} AND ({value}) IS NULL", "bad_time", column.required))
    return Plan(raw, value, "{v}", checks)


def _plain(column: Column, kind: str, config: Config, salt: str) -> Plan:
    """Identifiers, texts, sessions: kept or hashed as given."""
    r = quoted(f"r_{column.name}")
    long = f"length({r}) > {config.limits.identifier_chars}"
    control = f"regexp_matches({r}, '\\p{{Cc}}')"
    value = f"CASE WHEN NOT ({long}) AND NOT ({control}) THEN {r} END"
    if column.required:
        value = r  # a bad one costs the row: nothing to blank
    content = "{v}"
    if column.kind == "session":
        value = keyed_hash(value, salt)
        content = "{v}::VARCHAR"
    checks = [(long, "identifier_too_long", column.required), (control, "control_character", column.required)]
    return Plan(text_of(column.name, kind), value, content, checks)


def keyed_hash(expression: str, salt: str) -> str:
    """A 64-bit keyed hash of text as a signed integer."""
    return f"(md5_number_lower({literal(salt)} || {expression})::HUGEINT - 9223372036854775808)::BIGINT"


def plan_column(column: Column, kind: str, config: Config, salt: str) -> Plan:
    """The plan of a contract column that the source has with the DuckDB type `kind`."""
    name, r = column.name, quoted(f"r_{column.name}")
    raw = text_of(name, kind)
    match column.kind:
        case "count" | "score" | "number":
            plan = _number(column, name, kind)
            if column.name == "count":
                plan.value = f"coalesce({plan.value}, 1)"
        case "time":
            plan = _time(column, kind, config)
        case "id" | "text" | "session":
            plan = _plain(column, kind, config, salt)
        case "enum":
            names = ", ".join(literal(value) for value in column.values)
            value = r if column.required else f"CASE WHEN {r} IN ({names}) THEN {r} END"
            plan = Plan(raw, value, "{v}", [(f"{r} NOT IN ({names})", f"unknown_{name}", column.required)])
        case "country":
            names = ", ".join(literal(code) for code in sorted(COUNTRIES))
            value = f"upper(trim({r}))"
            plan = Plan(
                raw,
                f"CASE WHEN {value} IN ({names}) THEN {value} END",
                "{v}",
                [(f"{value} NOT IN ({names})", "bad_country", False)],
            )
        case "bool":
            plan = _bool(name, kind)
        case "entity" | "typed":
            d, typed = f"d_{name}", column.kind == "typed"
            plan = Plan(raw, f"{d}.code", f"{d}.stable::VARCHAR", [(f"{d}.bad IS NOT NULL", f"={d}.bad", typed)])
            same_type = f" AND {d}.entity_type = r_entity_type" if typed else ""
            plan.join = f"LEFT JOIN dict_{'typed' if typed else column.entity} {d} ON {d}.raw = {r}{same_type}"
        case "prompt":
            plan = Plan(raw, "d_prompt.id", f"md5_number_lower({literal(salt)} || {r})::VARCHAR")
            plan.join = "LEFT JOIN dict_prompt d_prompt ON d_prompt.row = r.__row"
        case "note":
            plan = Plan(raw, "NULL", f"md5({literal(salt)} || {r})")
        case "json":
            plan = Plan(
                raw, "d_tool.args", "d_tool.args::VARCHAR", [("d_tool.bad IS NOT NULL", "=d_tool.bad", False)]
            )
    if column.required:
        plan.checks.insert(0, (f"{r} IS NULL", f"missing_{name}", True))
    return plan


def _bool(name: str, kind: str) -> Plan:
    r = quoted(f"r_{name}")
    if kind == "BOOLEAN":
        return Plan(quoted(name), r, "{v}::VARCHAR")
    lower = f"lower({r})"
    value = (
        f"CASE WHEN {lower} IN ('true', 't', '1', '1.0', 'yes', 'y') THEN true"
        f" WHEN {lower} IN ('false', 'f', '0', '0.0', 'no', 'n') THEN false END"
    )
    return Plan(
        text_of(name, kind), value, "{v}::VARCHAR", [(f"{r} IS NOT NULL AND ({value}) IS NULL", "bad_bool", False)]
    )


def staging_query(
    table: Table,
    number: int,
    types: dict[str, str],
    mode: Mode,
    config: Config,
    salt: str,
) -> str:
    """The SELECT that judges every row of the relation `chunk`, which is of source `number` and has columns of
    `types` (name → DuckDB type).

    It gives `rid`, `reason` (null: the row is good), `soft` (what mode discard-value blanked), the columns of the
    table's log, and the features. `salt` keys the content keys and the hashes of sessions; it comes from the
    signatures secret, not the token secret, so that a rotation of the tokens leaves contents what they are.
    """
    plans = {
        column.name: plan_column(column, types[column.name], config, salt)
        for column in table.columns
        if column.name in types
    }
    features = sorted(name for name in types if FEATURE.match(name))
    plans |= {name: _number(None, name, types[name]) for name in features}
    joins = [plan.join for plan in plans.values() if plan.join]
    tools = table.name == "events" and ("tool" in types or "tool_args" in types)
    if tools:
        joins.append(
            "LEFT JOIN dict_tool d_tool ON"
            f" d_tool.tool = coalesce({'r_tool' if 'tool' in types else 'NULL'}, '')"
            f" AND d_tool.raw = coalesce({'r_tool_args' if 'tool_args' in types else 'NULL'}, '')"
        )
    raws = "".join(f", {plan.raw} AS {quoted(f'r_{name}')}" for name, plan in plans.items())
    values = "".join(f", {plan.value} AS {quoted(f'v_{name}')}" for name, plan in plans.items())
    reason, soft = _reasons(plans, mode)
    named, parts = _content(table, plans)
    inner = f"SELECT ({number}::BIGINT << {ROW_BITS}) | __row AS rid, __row{raws} FROM chunk"
    judged = (
        f"SELECT r.rid{values}, {reason} AS reason, {soft}::VARCHAR[] AS soft"
        + "".join(f", {text} AS {alias}" for text, alias in named)
        + (", d_tool.shape AS tool_shape, d_tool.vals AS tool_values" if tools else "")
        + f" FROM ({inner}) r {' '.join(joins)}"
    )
    found = {column.log_name: quoted(f"v_{column.name}") for column in table.columns if column.name in plans}
    found["content_key"] = f"md5_number(concat({', '.join([literal(salt[:16]), *parts])}))::UUID"
    if "event_key" in found:
        found["event_key"] = "md5_number(v_event_id)::UUID"
    if tools:
        found |= {"tool_shape": "tool_shape", "tool_values": "tool_values"}
    logged = [
        f"make_timestamptz({found[name]}) AS {quoted(name)}"
        if kind == "TIMESTAMPTZ" and name in found
        else f"{found.get(name, 'NULL')}::{kind} AS {quoted(name)}"
        for name, kind in table.log.items()
    ]
    outputs = ["rid", "reason", "soft", *logged, *(f"{quoted(f'v_{name}')} AS {quoted(name)}" for name in features)]
    return f"SELECT {', '.join(outputs)} FROM ({judged})"


def _reasons(plans: dict[str, Plan], mode: Mode) -> tuple[str, str]:
    """The reason that costs the row (null: none), and the list of those that cost a value only."""
    checks = [check for plan in plans.values() for check in plan.checks]

    def said(reason: str) -> str:
        return reason[1:] if reason.startswith("=") else literal(reason)

    # A card number first, whatever else is wrong: the row must not be kept with it.
    cards = [
        f"WHEN {reason[1:]} = 'pan_refused' THEN 'pan_refused'" for _, reason, _ in checks if reason.startswith("=d_")
    ]
    lenient = mode == "discard-value"
    hard = [
        f"WHEN {condition} THEN {said(reason)}" for condition, reason, is_hard in checks if is_hard or not lenient
    ]
    soft = [f"CASE WHEN {condition} THEN {said(reason)} END" for condition, reason, is_hard in checks if not is_hard]
    case = f"CASE {' '.join(cards + hard)} END" if cards + hard else "NULL"
    if not lenient or not soft:
        return case, "NULL"
    return case, f"list_distinct([{', '.join(soft)}])"  # which leaves nulls out


def _content(table: Table, plans: dict[str, Plan]) -> tuple[list[tuple[str, str]], list[str]]:
    """What the content key is made of: expressions that the middle SELECT must name, and the parts of the key. A
    part is null where there is no value, so that a column without values and no column are the same."""
    named: list[tuple[str, str]] = []
    parts: list[str] = []
    for column in table.columns:
        if column.name == "event_id":
            continue
        value = "1" if column.name == "count" else None
        if column.name in plans:
            alias = quoted(f"c_{column.name}")
            v = plans[column.name].value
            named.append((plans[column.name].content.replace("{v}", f"({v})"), alias))
            value = alias
        if value is not None:
            parts.append(f"{_UNIT_SEPARATOR} || {literal(column.name + '=')} || {value}")
    for name in sorted(set(plans) - {column.name for column in table.columns}):
        parts.append(f"{_UNIT_SEPARATOR} || {literal(name + '=')} || {quoted(f'v_{name}')}::VARCHAR")
    return named, parts
