"""What the real-time path reads says of an event what the log says of it later, and no more than it knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.data import simulate
from ringwatch.errors import DataError, UsageError
from ringwatch.metrics import Stopwatch
from ringwatch.signals import KeyMaker, Matcher, Signals, backtest, build_signals, read_signals, write_signals
from ringwatch.signals.build import WINDOW, shown_after
from ringwatch.signals.pack import COLUMNS
from ringwatch.signals.trial import KNOWN, NEWCOMERS, OF_GROUPS_BEGUN
from ringwatch.workspace import Workspace

from .conftest import Ingester

NOW = datetime(2026, 7, 1, tzinfo=UTC)
RAW = ("ip", "device_id", "payment_id", "prompt", "tool", "tool_args", "email", "phone", "org_id")


def _signals(*rows: tuple[str, str, str, float], base: float = -6.0, **more: Any) -> Signals:
    """Signals of type, key, group and bits that expire a day from now."""
    empty = {"accounts": 3, "suspects": 2, "cluster_id": "c1", "pieces": None, "least": None}
    table = pd.DataFrame(
        [
            {**empty, "type": kind, "key": key, "group": group, "bits": bits, "last_seen": pd.Timestamp(NOW)}
            for kind, key, group, bits in rows
        ],
        columns=COLUMNS.names,
    )
    table["expires_at"] = pd.Timestamp(NOW) + pd.Timedelta(days=1)
    return Signals(table.assign(**more), "r1", pd.Timestamp(NOW), "0" * 16, base, {}, 0)


def _odds(chance: float) -> float:
    return float(np.log2(chance / (1 - chance)))


def test_bits_of_independent_groups_add_up_and_the_strongest_of_a_group_counts() -> None:
    matcher = Matcher(
        _signals(("ip", "a", "network", 2.0), ("ip", "b", "network", 3.0), ("device", "a", "device", 5.0))
    )
    assert _odds(matcher.verdict([], NOW).chance) == pytest.approx(-6)
    assert _odds(matcher.verdict([("ip", "a")], NOW).chance) == pytest.approx(-4)
    found = matcher.verdict([("ip", "a"), ("ip", "b"), ("device", "a"), ("device", "unknown")], NOW)
    assert _odds(found.chance) == pytest.approx(2)
    assert [(one.type, one.key, one.bits) for one in found.reasons] == [
        ("device", "a", 5.0), ("ip", "b", 3.0), ("ip", "a", 0.0),
    ]  # fmt: skip
    assert sum(one.bits for one in found.reasons) == pytest.approx(_odds(found.chance) + 6)


def test_an_account_is_judged_by_its_run_or_by_its_things_and_never_by_both() -> None:
    matcher = Matcher(_signals(("account", "x", "account", 9.0), ("device", "a", "device", 5.0)))
    known = matcher.verdict([("account", "x"), ("device", "a")], NOW)
    assert _odds(known.chance) == pytest.approx(3)
    assert [(one.type, one.bits) for one in known.reasons] == [("account", 9.0), ("device", 0.0)]
    assert _odds(matcher.verdict([("account", "y"), ("device", "a")], NOW).chance) == pytest.approx(-1)


def test_what_has_expired_says_nothing() -> None:
    matcher = Matcher(_signals(("ip", "a", "network", 2.0)))
    assert matcher.verdict([("ip", "a")], NOW + timedelta(hours=23)).reasons
    assert not matcher.verdict([("ip", "a")], NOW + timedelta(days=1)).reasons


def test_a_prompt_meets_a_template_of_which_it_has_enough() -> None:
    one = _signals(("prompt_family", "f", "prompts", 4.0))
    one.table["pieces"] = pd.Series([np.array([1, 2, 3, 4, 5], np.uint32)], dtype="object")
    one.table["least"] = 3
    matcher = Matcher(one)
    assert matcher.families([1, 2, 9]) == []
    assert matcher.families([1, 2, 9, 5]) == ["f"]


def test_a_file_holds_what_was_written_and_anything_else_is_refused(tmp_path: Path) -> None:
    one = _signals(("ip", "a", "network", 2.0), ("prompt_family", "f", "prompts", 4.0))
    one.table["pieces"] = pd.Series([None, [7, 9]], dtype="object")
    one.table["least"] = pd.array([None, 3], dtype="Int64")
    file = tmp_path / "signals.parquet"
    write_signals(one, file)
    back = read_signals(file)
    assert back.about() == one.about()
    assert back.table["pieces"].tolist()[0] is None
    assert list(back.table["pieces"].tolist()[1]) == [7, 9]
    assert Matcher(back).families([7, 9, 1]) == []
    assert Matcher(back).verdict([("ip", "a")], NOW) == Matcher(one).verdict([("ip", "a")], NOW)
    with pytest.raises(UsageError, match=r"does not end in \.parquet"):
        write_signals(one, tmp_path / "signals.json")
    with pytest.raises(UsageError, match="There is no file"):
        read_signals(tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_bytes(file.read_bytes()[:100])
    pq.write_table(pa.table({"type": ["ip"]}), tmp_path / "other.parquet")
    for name in ("broken", "other"):
        with pytest.raises(DataError, match="holds no signals"):
            read_signals(tmp_path / f"{name}.parquet")


# -- a small world ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path, Signals]:
    """A workspace, its drop, and the signals of its run."""
    folder = tmp_path_factory.mktemp("signals")
    simulate("easy", folder / "drop", seed=302, accounts=800, prevalence=0.2, watch=Stopwatch(quiet=True))
    workspace = pipeline.create_workspace(folder / "workspace", make_config())
    pipeline.ingest_drop(workspace, [folder / "drop"])
    pipeline.run_detection(workspace, seed=1)
    return workspace, folder / "drop", build_signals(workspace, pipeline.load_run(workspace))


def _events(drop: Path) -> list[dict[str, Any]]:
    """The events of a drop as the real-time path has them, each with what its account says of itself."""
    accounts = pd.read_parquet(drop / "accounts.parquet")[["account_id", "email", "phone", "org_id"]]
    events = pd.read_parquet(drop / "events.parquet").merge(accounts, on="account_id", how="left")
    rows = events[["event_id", "ts", "account_id", *RAW]].astype(object)
    return list(rows.where(rows.notna(), None).to_dict("records"))  # type: ignore[arg-type]


def test_an_event_as_it_comes_shows_what_the_log_has_of_it(world: tuple[Workspace, Path, Signals]) -> None:
    workspace, drop, signals = world
    matcher = Matcher(signals)
    since = signals.as_of - 3 * WINDOW
    with pipeline.rehearse(workspace) as seen:
        logged = shown_after(seen.con, since, matcher)
    late = [event for event in _events(drop) if event["ts"] > since]
    shown = KeyMaker(workspace).read(late)
    raw = {
        (event["account_id"], *key) for event, one in zip(late, shown, strict=True) for key in matcher.seen(one)
    }  # fmt: skip
    assert raw == set(logged[["account_id", "type", "key"]].itertuples(index=False, name=None))
    assert {kind for _, kind, _ in raw} >= {"account", "ip", "device", "payment", "prompt_family"}
    assert not any(one.unread for one in shown)


def test_suspects_are_met_and_others_are_not(world: tuple[Workspace, Path, Signals]) -> None:
    workspace, drop, signals = world
    matcher = Matcher(signals, KeyMaker(workspace))
    truth = pd.read_parquet(drop / "truth" / "labels.parquet").set_index("account_id")["label"]
    last = list({event["account_id"]: event for event in sorted(_events(drop), key=lambda one: one["ts"])}.values())
    found = pd.DataFrame(
        {
            "chance": [one.chance for one in matcher.match(last)],
            "abusive": [truth[event["account_id"]] == "abusive" for event in last],
        }
    )
    assert (found["chance"][found["abusive"]] > 0.5).mean() > 0.7
    assert (found["chance"][~found["abusive"]] > 0.5).mean() < 0.05


def test_the_file_says_nothing_to_who_has_no_key(world: tuple[Workspace, Path, Signals], tmp_path: Path) -> None:
    workspace, drop, signals = world
    write_signals(signals, tmp_path / "a.parquet")
    write_signals(build_signals(workspace, pipeline.load_run(workspace)), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    told = set(signals.table["key"]) | set(map(str, signals.about().values()))
    for event in _events(drop):
        assert not told & {event[name] for name in RAW if name != "org_id"}
    with pytest.raises(UsageError, match="other keys"):
        Matcher(Signals(**{**vars(signals), "keys": "0" * 16}), KeyMaker(workspace))
    with pytest.raises(UsageError, match="without keys"):
        Matcher(signals).match([{}])


def test_what_is_known_to_serve_strangers_is_no_signal(ingester: Ingester) -> None:
    log = [*_ring("2026-03-0", members=8), *_others("2026-03-0", count=40, prefix="o")]
    known = [{"entity_type": "ip", "entity_id": "11.0.0.1", "kind": "vpn"}]
    with_kind, without = (ingester.workspace() for _ in range(2))
    pipeline.ingest_drop(with_kind, [ingester.drop({"events": log, "entities": known})])
    pipeline.ingest_drop(without, [ingester.drop({"events": log})])
    types = []
    for workspace in (with_kind, without):
        pipeline.run_detection(workspace)
        types.append(set(build_signals(workspace, pipeline.load_run(workspace)).table["type"]))
    assert "ip" not in types[0]
    assert "ip" in types[1]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELD = st.sampled_from(("ts", "account_id", "links", *RAW))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(_FIELD, _JSON, max_size=6), max_size=4))
def test_no_event_is_too_odd_for_a_verdict(
    world: tuple[Workspace, Path, Signals], events: list[dict[str, Any]]
) -> None:
    workspace, _, signals = world
    found = Matcher(signals, KeyMaker(workspace)).match(events)
    assert len(found) == len(events)
    assert all(0 <= one.chance <= 1 for one in found)


@pytest.mark.parametrize(
    "event",
    [
        {"ts": pd.NaT, "ip": np.nan, "phone": pd.NA, "email": None, "account_id": float("nan")},
        {"tool": "t", "tool_args": {"when": NOW, "number": np.int64(4)}},
        {"tool": "t", "tool_args": {"deep": [10**5000]}, "phone": 10**5000},
        {"ts": "2026-03-01t00:00:00z", "account_id": np.float64(5.0), "links": {"entity_type": "ip"}},
    ],
)
def test_what_pandas_and_python_have_is_read_or_says_nothing(
    world: tuple[Workspace, Path, Signals], event: dict[str, Any]
) -> None:
    workspace, _, signals = world
    maker = KeyMaker(workspace)
    (shown,) = maker.read([event])
    assert shown.keys <= {("account", "5")}
    assert (shown.at is not None) == isinstance(event.get("ts"), str)
    assert len(Matcher(signals, maker).match([event])) == 1


def test_a_field_that_cannot_be_read_is_named(world: tuple[Workspace, Path, Signals]) -> None:
    workspace, _, signals = world
    event = {
        "ts": 1767225600,
        "ip": "1.2.3",
        "email": "nobody",
        "tool": "t",
        "tool_args": "{",
        "links": [{"entity_type": "ip"}],
    }
    (found,) = Matcher(signals, KeyMaker(workspace)).match([event])
    assert sorted(found.unread) == ["email", "ip", "tool_args", "ts"]


def test_other_keys_after_a_rotation_are_noticed(ingester: Ingester) -> None:
    workspace = ingester.workspace()
    pipeline.ingest_drop(workspace, [ingester.drop({"events": _ring("2026-03-0", members=4)})])
    before = KeyMaker(workspace).keys
    pipeline.rotate(workspace, reason="a test")
    assert KeyMaker(workspace).keys != before


# -- what they would have been worth ---------------------------------------------------------------------------------


def _ring(day: str, *, members: int, first: int = 0, prefix: str = "m") -> list[dict[str, Any]]:
    """Harmful events of accounts that share a device, an address and a card, two a day from the 1st."""
    return [
        {
            "event_id": f"{prefix}{first + at}-{number}", "ts": f"{day}{1 + number}T1{at % 10}:00:00Z",
            "account_id": f"{prefix}{first + at}", "kind": "chat", "ip": "11.0.0.1", "device_id": "ring-device",
            "payment_id": "ring-card", "harm": "fraud", "refused": False,
        }
        for at in range(members) for number in range(4)
    ]  # fmt: skip


def _others(day: str, *, count: int, prefix: str) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{prefix}{at}-{number}", "ts": f"{day}{1 + number}T0{at % 10}:30:00Z",
            "account_id": f"{prefix}{at}", "kind": "chat", "ip": f"12.0.{at}.1", "device_id": f"d-{prefix}{at}",
            "payment_id": f"c-{prefix}{at}", "harm": None, "refused": False,
        }
        for at in range(count) for number in range(4)
    ]  # fmt: skip


def test_newcomers_of_a_ring_are_met_and_what_they_did_after_it_is_counted(
    ingester: Ingester, tmp_path: Path
) -> None:
    workspace = ingester.workspace()
    early = [*_ring("2026-03-0", members=8), *_others("2026-03-0", count=40, prefix="o")]
    late = [*_ring("2026-03-2", members=3, first=8), *_others("2026-03-2", count=10, prefix="p")]
    fresh = _others("2026-03-2", count=2, prefix="q")  # a ring that shares nothing and was not there before
    pipeline.ingest_drop(workspace, [ingester.drop({"events": [*early, *late, *fresh]}, "jsonl")])
    accounts = sorted({row["account_id"] for row in (*early, *late, *fresh)})
    group = {"m": "ring", "q": "fresh"}
    labels = pd.DataFrame(
        {
            "account_id": accounts,
            "label": ["abusive" if one[0] in group else "benign" for one in accounts],
            "labelled_at": "2026-04-01",
            "group_id": [group.get(one[0]) for one in accounts],
        }
    )
    labels.to_parquet(tmp_path / "labels.parquet")
    found = backtest(workspace, tmp_path / "labels.parquet", as_of=datetime(2026, 3, 15, tzinfo=UTC))
    held = {(one.who, one.chance): one for one in found.held}
    newcomers, begun, known = (held[who, 0.5] for who in (NEWCOMERS, OF_GROUPS_BEGUN, KNOWN))
    assert (newcomers.abusive, newcomers.benign, newcomers.events) == (5, 10, 20)
    assert newcomers.met.value == pytest.approx(3 / 5)
    assert newcomers.after.value == pytest.approx(12 / 20)
    assert newcomers.met_benign.value == 0
    assert (begun.abusive, begun.met.value) == (3, 1.0)
    assert (known.abusive, known.met.value) == (0, None)
    assert found.strongest["abusive"].sum() == 3
    assert found.claimed["accounts"].sum() == 15
    with pytest.raises(UsageError, match="no events until"):
        backtest(workspace, tmp_path / "labels.parquet", as_of=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="no events after"):
        backtest(workspace, tmp_path / "labels.parquet", as_of=datetime(2027, 1, 1, tzinfo=UTC))


def test_nobody_is_met_where_a_ring_has_everything_new(ingester: Ingester, tmp_path: Path) -> None:
    workspace = ingester.workspace()
    early, late = _others("2026-03-0", count=20, prefix="o"), _others("2026-03-2", count=4, prefix="q")
    names = [{"account_id": one} for one in sorted({row["account_id"] for row in (*early, *late)})]
    pipeline.ingest_drop(workspace, [ingester.drop({"events": [*early, *late], "accounts": names}, "jsonl")])
    labels = [
        {"account_id": f"q{at}", "label": "abusive", "labelled_at": "2026-04-01", "group_id": "q"} for at in range(4)
    ]
    pd.DataFrame(labels).to_parquet(tmp_path / "labels.parquet")
    found = backtest(workspace, tmp_path / "labels.parquet", as_of=datetime(2026, 3, 15, tzinfo=UTC))
    for one in found.held:
        # Rows of accounts that have no time were not there before their first event.
        assert (one.abusive, one.met.value) == ((4, 0.0) if one.who == NEWCOMERS else (0, None))


def test_an_account_made_long_ago_has_its_phone_still(ingester: Ingester) -> None:
    workspace = ingester.workspace()
    events = [*_ring("2026-03-0", members=8), *_others("2026-03-0", count=40, prefix="o")]
    old = [{"account_id": f"m{at}", "created_at": "2024-01-01", "phone": "+14155550100"} for at in range(8)]
    late = [{"account_id": "nobody", "created_at": "2027-01-01", "phone": None}]
    pipeline.ingest_drop(workspace, [ingester.drop({"events": events, "accounts": [*old, *late]}, "jsonl")])
    pipeline.run_detection(workspace)
    table = build_signals(workspace, pipeline.load_run(workspace)).table
    assert {"phone", "device", "ip"} <= set(table["type"])
    assert (table["last_seen"] < pd.Timestamp("2026-03-09", tz="UTC")).all()


def test_a_log_of_nothing_and_one_without_suspects_have_no_signals(ingester: Ingester, tmp_path: Path) -> None:
    workspace = ingester.workspace()
    pipeline.run_detection(workspace)
    nothing = build_signals(workspace, pipeline.load_run(workspace))
    write_signals(nothing, tmp_path / "nothing.parquet")
    assert len(read_signals(tmp_path / "nothing.parquet").table) == 0
    pipeline.ingest_drop(workspace, [ingester.drop({"events": _others("2026-03-0", count=12, prefix="o")}, "jsonl")])
    pipeline.run_detection(workspace)
    assert len(build_signals(workspace, pipeline.load_run(workspace)).table) == 0
