"""What speaks against is listed beside what speaks for, in negative bits and a plain sentence, and is subtracted."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from drops import Row, Tables, write_drop

from ringwatch.graphs.clusters import ABUSE_LAYERS

from ..command import Ringwatch

WORDS = [f"markword{i}" for i in range(900)]
COUNTRIES = ("NL", "BR", "IN", "US", "KE")
RINGS, TEAMS, SIZE = 10, 6, 6


def _time(month: int, day: int, hour: int) -> str:
    return f"2026-{month:02d}-{day:02d}T{hour:02d}:00:00Z"


def _world() -> Tables:
    """Loners; rings that do harm, each from one country but for the last, whose members are in several at one moment;
    teams in one office with cards, mailboxes and prompts of long standing, some of which set off alarms."""
    chance = random.Random(7)
    tables: Tables = {"accounts": [], "events": []}

    def account(name: str, created: str, country: str, domain: str) -> None:
        row: Row = {"account_id": name, "created_at": created, "country": country, "email": f"{name}@{domain}"}
        tables["accounts"].append(row)

    def act(name: str, ts: str, kind: str = "chat", *, harm: bool = False, **more: Any) -> None:
        row = {
            "event_id": f"e{len(tables['events'])}", "ts": ts, "account_id": name, "kind": kind, "ip": None,
            "device_id": None, "payment_id": None, "prompt": None, "harm": "fraud" if harm else None,
            "harm_score": 0.9 if harm else 0.02,
        }  # fmt: skip
        tables["events"].append({**row, **more})

    def says(count: int = 14) -> str:
        return " ".join(chance.sample(WORDS, count))

    for i in range(250):
        name = f"loner{i}"
        account(name, _time(1, 1 + i % 28, i % 24), COUNTRIES[i % 5], "provider.example")
        for k in range(6):
            act(
                name,
                _time(3, 1 + (i + k) % 28, (i * 7 + k) % 24),
                ip=f"11.{i}.0.{k % 2}",
                device_id=f"d{i}",
                prompt=says(),
            )
    for ring in range(RINGS):
        template = chance.sample(WORDS, 24)
        for i in range(SIZE):
            name = f"ring{ring}-{i}"
            place = COUNTRIES[(ring + (i if ring == RINGS - 1 else 0)) % 5]
            account(name, _time(2, 1 + 2 * ring, 9), place, "provider.example")
            act(name, _time(3, 2, 8), "payment", payment_id=f"tok_ring{ring}", ip=f"12.{ring}.{i}.1")
            for k in range(8):
                words = [*template]
                words[k] = chance.choice(WORDS)
                act(
                    name, _time(3, 3 + k, 9 + ring), ip=f"12.{ring}.{i}.{k % 2}", device_id=f"r{ring}-{i % 3}",
                    prompt=" ".join(words), harm=k % 2 == 0,
                )  # fmt: skip
    for team in range(TEAMS):
        for i in range(SIZE):
            name = f"team{team}-{i}"
            account(name, f"2025-0{1 + team}-10T09:00:00Z", COUNTRIES[team % 5], f"team{team}.example")
            for month in (1, 3):
                act(name, _time(month, 10 + i, 10), "payment", payment_id=f"tok_{name}")
            for k in range(12):
                act(
                    name, _time(3, 3 + k, 9 + (k + i) % 8), ip=f"13.{team}.0.1", device_id=f"t{team}", prompt=says(),
                    harm=team == 0 and k == i == 0,
                )  # fmt: skip
    return tables


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Ringwatch:
    folder = tmp_path_factory.mktemp("counter")
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", write_drop(folder / "drop", _world()))
    command.run("detect", "--seed", "1", "--no-labels")
    return command


def _of(world: Ringwatch, account: str, folder: Path) -> dict[str, Any]:
    """The cluster of an account, as `clusters show` has it, and `page`, as it prints it."""
    rows = world.json("clusters", "members", "--output", folder / "members.jsonl")
    assert rows["rows"] > 0
    found = [line for line in (folder / "members.jsonl").read_text().splitlines() if f'"{account}"' in line]
    name = re.search(r'"cluster_id":"(\w+)"', found[0])
    assert name is not None
    page = world.run("clusters", "show", name[1]).stdout
    return {**world.json("clusters", "show", name[1]), "page": re.sub(r"\s+", "", page)}


def _holds(cluster: dict[str, Any], sentences: dict[str, str]) -> None:
    against = {reason["layer"]: reason for reason in cluster["counter_evidence"]}
    for layer, sentence in sentences.items():
        reason = against[layer]
        assert reason["bits"] < -0.05
        assert sentence in reason["text"]
        assert re.sub(r"\s+", "", sentence) in cluster["page"]
        assert f"{reason['bits']:+.1f}" in cluster["page"]


def test_what_people_have_of_their_own_speaks_against_abuse(world: Ringwatch, tmp_path: Path) -> None:
    team = _of(world, "team0-0", tmp_path)
    assert {member["account_id"] for member in team["members"]} == {f"team0-{i}" for i in range(SIZE)}
    _holds(
        team,
        {
            "old_accounts": "6 of 6 members have had their accounts for half a year or longer",
            "own_payment": "6 of 6 members have paid for a month or longer with an instrument that nobody else uses",
            "diverse_prompts": "6 of 6 members send prompts of their own",
            "company_domain": "6 of 6 members have a mailbox at a domain half of whose many accounts are old",
        },
    )
    ring = _of(world, "ring0-0", tmp_path)
    assert not {reason["layer"] for reason in ring["counter_evidence"]} & {"old_accounts", "own_payment"}
    assert team["abuse"] < 0.9 < ring["abuse"], "few alarms, and what speaks for people"


def test_members_in_several_countries_at_one_moment_speak_against_one_operator(
    world: Ringwatch, tmp_path: Path
) -> None:
    apart = _of(world, f"ring{RINGS - 1}-0", tmp_path)
    _holds(apart, {"country": "At work at one moment they are mostly in different countries"})
    told = [reason for reason in apart["evidence"] + apart["counter_evidence"] if reason["layer"] not in ABUSE_LAYERS]
    assert sum(reason["bits"] for reason in told) == pytest.approx(apart["bits"], abs=0.05), "it is subtracted"
