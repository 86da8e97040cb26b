"""Raw personal data goes in; no file of the workspace, no log and no answer holds it, save under the vault's key."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import duckdb
import pytest
from drops import make_tables, write_drop
from process import Done

from ringwatch import pipeline
from ringwatch.graphs import schema
from ringwatch.workspace import Workspace

from ..command import Ringwatch

EMAIL = "planted.person+shop@plant-mail.example"
PHONE = "+31612345678"
IP = "198.51.100.77"
IP6 = "2001:db8:abcd:12:34:56:78:9a"
DEVICE = "dev-planted-0077"
PAYMENT = "tok_planted_991"
WALLET = "0xplantedwallet01"
AGENT = "Mozilla/5.0 (PlantedOS 9.77; rv:1) PlantedBrowser/77.1"
PROMPT = "planted words of a secret prompt that nobody else has ever typed into any window here"
TARGET = "planted-target-host"
NOTE = "planted note of an investigator"
SESSION = "sess-planted-5"
CARD = "4111111111111111"

#: What must not be found: the values, and the forms that normalising gives them.
PLANTED = (
    EMAIL, "planted.person", "plantedperson", PHONE, "31612345678", "612345678", "6 1234 5678", IP, "198.51.100.7",
    IP6, "2001:db8:abcd:12", DEVICE, PAYMENT, WALLET, AGENT, "PlantedOS", "PlantedBrowser", "planted words",
    "secret prompt", TARGET, NOTE, "planted note", SESSION, CARD, "bad-planted", "stray-planted",
)  # fmt: skip


def _drop(folder: Path) -> Path:
    tables = make_tables(3)
    tables["accounts"][-1] |= {"email": EMAIL, "phone": "+31 6 1234 5678"}
    tables["accounts"][-2] |= {"phone": PHONE}
    for row in tables["accounts"]:
        row.setdefault("phone", None)
        row["diary"] = "stray-planted-value"
    blank: dict[str, object] = dict.fromkeys(tables["events"][0])
    raw = {
        "session_id": SESSION, "ip": IP, "device_id": DEVICE, "payment_id": PAYMENT, "user_agent": AGENT,
        "prompt": PROMPT, "tool": "fetch", "tool_args": json.dumps({"host": TARGET, "n": 3}),
    }  # fmt: skip
    rows = [{**row, "session_id": None, "user_agent": None} for row in tables["events"]]
    for number in range(5):
        event = {"event_id": f"p{number}", "ts": f"2026-02-10T0{number}:00:00Z", "kind": "tool_call"}
        rows.append({**blank, **raw, **event, "account_id": f"ring0-{number}"})
    rows.append({**rows[-1], "event_id": "p-six", "ip": IP6})
    rows.append({**rows[-1], "event_id": "p-card", "payment_id": CARD})
    rows.append({**rows[-1], "event_id": "p-time", "ts": "bad-planted-time", "payment_id": None})
    rows.append({**rows[-1], "event_id": "p-ip", "ts": "2026-02-10T00:00:00Z", "ip": "bad-planted-address"})
    rows.append({**rows[-1], "event_id": "p0", "ip": IP, "prompt": PROMPT + " bad-planted"})
    tables["events"] = rows
    tables["entities"].append({"entity_type": "ip", "entity_id": IP, "kind": "hosting", "note": NOTE})
    tables["links"] = [
        {"account_id": f"ring0-{number}", "entity_type": "wallet", "entity_id": WALLET} for number in range(4)
    ]
    return write_drop(folder, tables)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir()
        self.command = Ringwatch(folder / "workspace", TMPDIR=str(folder / "tmp"))
        self.said: list[Done] = []
        self.say("init", "--entity-type", "wallet")
        self.ingested = self.say("ingest", _drop(folder / "drop"), "--json").document

    def say(self, *arguments: str | Path) -> Done:
        done = self.command.run(*arguments)
        self.said.append(done)
        return done

    def token(self, entity_type: str, value: str) -> str:
        key = Workspace.open(self.command.workspace).key(entity_type)
        return f"{entity_type}_{hmac.digest(key, value.encode(), hashlib.sha256)[:16].hex()}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace that has seen raw data in every place where it may come, and every command that reads it back."""
    world = World(tmp_path_factory.mktemp("privacy"))
    world.say("detect", "--seed", "1")
    world.say("ingest", world.folder / "drop")
    cluster = world.say("clusters", "list", "--json").document["clusters"][0]["cluster_id"]
    world.say("clusters", "show", cluster)
    world.say("clusters", "show", cluster, "--json")
    world.say("quarantine", "list", "--json")
    world.say("graph", "stats")
    world.say("doctor")
    for form in ("csv", "json", "graphml"):
        world.say("export", cluster, "--format", form, "--output", world.folder / "tmp" / f"export.{form}")
    refused = world.command.call("ingest", world.folder / "drop", "--mode", "freeze")
    assert refused.code == 3
    world.said.append(refused)
    return world


def _found(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [value for value in PLANTED if value.encode() in data]


def test_the_rows_went_in_and_the_bad_ones_did_not(world: World) -> None:
    violations = world.ingested["violations"]
    assert {"pan_refused", "event_conflict"} <= set(violations)
    assert world.ingested["quarantined"] == 4
    assert world.ingested["read"] == world.ingested["stored"] + world.ingested["duplicates"] + 4


def test_no_file_holds_a_planted_value(world: World) -> None:
    files = [path for root in ("workspace", "tmp") for path in (world.folder / root).rglob("*") if path.is_file()]
    assert len(files) > 10
    hits = {str(path.relative_to(world.folder)): found for path in files if (found := _found(path.read_bytes()))}
    assert hits == {}


def test_no_column_of_the_log_holds_a_planted_value(world: World) -> None:
    tables = list(world.command.workspace.rglob("*.parquet"))
    assert len(tables) >= 5
    hits = {}
    with duckdb.connect() as con:
        for path in tables:
            rows = con.execute("SELECT to_json(t)::VARCHAR FROM read_parquet(?) AS t", [str(path)]).fetchall()
            if found := _found("\n".join(row[0] for row in rows)):
                hits[path.name] = found
    assert hits == {}


def test_no_node_or_edge_of_the_store_holds_a_planted_value(world: World) -> None:
    store = pipeline.open_store(Workspace.open(world.command.workspace))
    try:
        frames = [store.nodes(label) for label in schema.NODES] + [store.edges(kind) for kind in schema.EDGES]
    finally:
        store.close()
    assert sum(frame.num_rows for frame in frames) > 100
    assert _found("\n".join(str(frame.to_pylist()) for frame in frames)) == []


def test_no_output_or_log_holds_a_planted_value(world: World) -> None:
    for done in world.said:
        assert _found(done.stdout + done.stderr) == [], done.arguments


@pytest.mark.parametrize(
    ("entity_type", "value", "original"),
    [
        ("ip", IP, IP), ("device", DEVICE, DEVICE), ("payment", PAYMENT, PAYMENT), ("wallet", WALLET, WALLET),
        ("phone", PHONE, "1234 5678"),
    ],
)  # fmt: skip
def test_the_vault_gives_an_original_back_for_a_reason_on_record(
    world: World, entity_type: str, value: str, original: str
) -> None:
    audit = world.command.workspace / "audit.log"
    before = audit.read_text() if audit.exists() else ""
    token = world.token(entity_type, value)
    done = world.command.run("reveal", token, "--reason", "case 12 of the privacy test", "--json")
    assert original.replace(" ", "") in done.stdout.replace(" ", "")
    added = audit.read_text().removeprefix(before)
    assert token in added
    assert "case 12 of the privacy test" in added
    assert _found(added) == []


def test_a_reveal_without_a_reason_is_refused(world: World) -> None:
    done = world.command.call("reveal", world.token("ip", IP), "--json")
    assert done.code == 2
    assert _found(done.stdout + done.stderr) == []


def test_the_card_number_is_not_even_in_the_exported_quarantine(world: World, tmp_path: Path) -> None:
    batch = tmp_path / "bad.jsonl"
    world.command.run("quarantine", "export", "--output", batch, "--reason", "case 13 of the privacy test")
    text = batch.read_text()
    assert "bad-planted-time" in text
    assert CARD not in text
    assert "case 13 of the privacy test" in (world.command.workspace / "audit.log").read_text()


def test_keys_are_their_owners_alone(world: World) -> None:
    keys = list((world.command.workspace / "keys").iterdir())
    assert len(keys) >= 3
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
