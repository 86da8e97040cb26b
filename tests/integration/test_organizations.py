"""Organizations and lineage through the installed command: what is tied, what becomes of clusters, who is back."""

from __future__ import annotations

import importlib.resources
import random
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drops import Row, Tables, make_tables, write_drop

from ..command import Ringwatch

WORDS = [f"markword{i}" for i in range(900)]


def _day(month: int, day: int, hour: int = 0) -> str:
    return f"2026-{month:02d}-{day:02d}T{hour:02d}:00:00Z"


class Customers:
    """Loners with small cards of their own, and customers who share what they are given."""

    def __init__(self, loners: int = 250) -> None:
        self.random = random.Random(5)
        self.tables: Tables = {"accounts": [], "events": [], "relations": [], "entities": []}
        for i in range(loners):
            self.account(f"loner{i}", 1 + i % 28, email=f"loner{i}@mail.example")
            self.acts(f"loner{i}", card=f"tok_mark_l{i}", ip=f"81.{i}.7.{i % 250}", device=f"dev-mark-l{i}")

    def account(self, name: str, day: int, **more: Any) -> None:
        self.tables["accounts"].append(
            {"account_id": name, "created_at": _day(1, day), "country": "NL", "plan": "free", "org_id": None, **more}
        )

    def acts(
        self, name: str, *, card: str | None, ip: str, device: str, words: list[str] | None = None, harm: bool = False
    ) -> None:
        for k in range(5):
            prompt = self.random.sample(WORDS, 14)
            if words and k:
                prompt = [*words]
                prompt[k] = self.random.choice(WORDS)
            bad = harm and k % 2 == 1
            self.tables["events"].append(
                {
                    "event_id": f"{name}-e{len(self.tables['events'])}", "ts": _day(2, 1 + k, k), "account_id": name,
                    "kind": "chat" if k else "payment", "ip": ip, "device_id": device,
                    "payment_id": None if k else card, "prompt": " ".join(prompt) if k else None,
                    "harm": "fraud" if bad else None, "harm_score": 0.9 if bad else 0.02, "refused": bad,
                }
            )  # fmt: skip

    def customer(self, name: str, size: int, *, domain: str, harm: bool, number: int) -> list[str]:
        """People of one customer at one address, with one card and their own devices."""
        words = self.random.sample(WORDS, 24)
        people = [f"{name}{i}" for i in range(size)]
        for i, person in enumerate(people):
            self.account(person, 3 + i % 2, org_id=f"org-{name}", email=f"{person}@{domain}", plan="team")
            self.acts(
                person, card=f"tok_mark_{name}", ip=f"198.18.{number}.{i % 2}", device=f"dev-mark-{person}",
                words=words, harm=harm,
            )  # fmt: skip
        return people


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Ringwatch:
    """A malicious customer, its clean front with the same mail domain and one common card, and an honest customer."""
    folder = tmp_path_factory.mktemp("customers")
    made = Customers()
    made.customer("evil", 9, domain="holding.example", harm=True, number=1)
    front = made.customer("front", 6, domain="holding.example", harm=False, number=2)
    made.customer("honest", 7, domain="honest.example", harm=False, number=3)
    made.acts(front[0], card="tok_mark_evil", ip="198.18.2.0", device="dev-mark-front0")
    made.account("idle", 28, org_id="org-evil", email="idle@holding.example")
    command = Ringwatch(folder / "workspace")
    command.init()
    command.run("ingest", write_drop(folder / "drop", made.tables))
    command.run("detect", "--seed", "1")
    return command


def test_a_malicious_customer_and_its_front_are_one_object_of_two_parts(customers: Ringwatch) -> None:
    listed = customers.json("organizations", "list")["organizations"]
    assert [row["score"] for row in listed] == sorted((row["score"] for row in listed), reverse=True)
    first = listed[0]
    assert (len(first["clusters"]), first["accounts"], first["outsiders"]) == (2, 15, 1)
    assert first["score"] > 0.5
    shown = customers.json("organizations", "show", first["organization_id"])
    evil, front = shown["parts"]
    assert (evil["customer"], evil["size"], front["customer"], front["size"]) == ("org-evil", 9, "org-front", 6)
    assert evil["harmful"] > 0 and evil["abuse"] > 0.7
    assert front["harmful"] == 0 and front["abuse"] < 0.5
    assert {"email_domain", "payment"} <= {reason["layer"] for reason in shown["evidence"]}
    told = shown["evidence"] + shown["counter_evidence"]
    assert all({"layer", "bits", "text"} <= set(reason) for reason in told)
    assert all(reason["bits"] < 0 for reason in shown["counter_evidence"])
    assert sum(reason["bits"] for reason in told) == pytest.approx(shown["bits"], abs=0.02)
    (outsider,) = shown["outsiders"]
    assert (outsider["account_id"], outsider["cluster_id"], outsider["entity"]) == ("idle", None, "org-evil")
    assert {row["account_id"] for row in shown["members"]} == {
        *(f"evil{i}" for i in range(9)), *(f"front{i}" for i in range(6)),
    }  # fmt: skip
    assert sum(day["harmful"] for day in shown["timeline"]) == evil["harmful"]
    assert [{tie["src"], tie["dst"]} for tie in shown["ties"]] == [set(first["clusters"])]


def test_an_honest_customer_is_an_organization_of_one_part_with_a_low_score(customers: Ringwatch) -> None:
    alone = [row for row in customers.json("organizations", "list")["organizations"] if len(row["clusters"]) == 1]
    (honest,) = alone
    shown = customers.json("organizations", "show", honest["organization_id"])
    assert shown["parts"][0]["customer"] == "org-honest"
    assert honest["score"] < 0.3
    assert "7 of its 7 accounts" in shown["evidence"][0]["text"]


def test_pages_and_clusters_name_the_organization(customers: Ringwatch) -> None:
    first = customers.json("organizations", "list")["organizations"][0]
    page = customers.run("organizations", "show", first["organization_id"]).stdout
    for text in (first["organization_id"], "Parts", "org-evil", "org-front", "In no cluster", "idle"):
        assert text in page
    assert first["organization_id"] in customers.run("organizations", "list").stdout
    cluster = customers.json("clusters", "show", first["clusters"][0])
    assert cluster["organization_id"] == first["organization_id"]
    assert first["organization_id"] in customers.run("clusters", "show", first["clusters"][0]).stdout
    none = customers.call("organizations", "show", "onowhere", "--json")
    assert (none.code, none.document["code"]) == (2, 2)


def test_the_store_has_the_organizations_and_answers_for_them(customers: Ringwatch) -> None:
    listed = customers.json("organizations", "list")["organizations"]
    stats = customers.json("graph", "stats")
    assert stats["nodes"]["Syndicate"] == len(listed)
    assert stats["edges"]["PART_OF"] == sum(len(row["clusters"]) for row in listed)
    param = f"organization={listed[0]['organization_id']}"
    parts = customers.json("query", "run", "organization-parts", "--param", param)["rows"]
    assert [row[0] for row in parts] == listed[0]["clusters"]
    outside = customers.json("query", "run", "organization-outsiders", "--param", param)["rows"]
    assert [row[:2] for row in outside] == [["idle", "org-evil"]]


def test_organizations_keep_their_ids_while_they_grow(customers: Ringwatch, tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init", "--keys-from", customers.workspace)
    made = Customers()
    made.customer("evil", 9, domain="holding.example", harm=True, number=1)
    front = made.customer("front", 6, domain="holding.example", harm=False, number=2)
    made.acts(front[0], card="tok_mark_evil", ip="198.18.2.0", device="dev-mark-front0")
    command.run("ingest", write_drop(tmp_path / "drop", made.tables))
    command.run("detect")
    (before,) = command.json("organizations", "list")["organizations"]
    more = Customers(0)
    more.customer("evil", 13, domain="holding.example", harm=True, number=1)
    for table in more.tables:
        more.tables[table] = [row for row in more.tables[table] if row["account_id"][4:] in ("9", "10", "11", "12")]
    command.run("ingest", write_drop(tmp_path / "more", more.tables))
    command.run("detect")
    (after,) = command.json("organizations", "list")["organizations"]
    assert after["organization_id"] == before["organization_id"]
    assert set(after["clusters"]) == set(before["clusters"])


# -- from run to run -------------------------------------------------------------------------------------------------


def _more_of(tables: Tables, ring: int, names: list[str], month: int, created: str) -> Tables:
    """Rows of more accounts of a ring of `make_tables`, who do as its first member does, in another month."""
    found: Tables = {"accounts": [], "events": []}
    one = f"ring{ring}-0"
    account = next(row for row in tables["accounts"] if row["account_id"] == one)
    for number, name in enumerate(names):
        found["accounts"].append(
            {**account, "account_id": name, "created_at": created, "email": f"op{ring}+x{number}@mark-mail.example"}
        )
        for row in tables["events"]:
            if row["account_id"] == one:
                ts = row["ts"].replace("2026-02", f"2026-{month:02d}")
                found["events"].append({**row, "account_id": name, "event_id": f"{name}-{row['event_id']}", "ts": ts})
    return found


def _members(command: Ringwatch, path: Path) -> dict[str, set[str]]:
    command.run("clusters", "members", "--output", path)
    table = pd.read_csv(path)
    return {str(name): set(own) for name, own in table.groupby("cluster_id")["account_id"]}


def _of(clusters: dict[str, set[str]], account: str) -> str:
    return next(name for name, own in clusters.items() if account in own)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ringwatch, dict[str, set[str]]]:
    """Two runs: in the second ring0 has four more members and there is a new ring."""
    folder = tmp_path_factory.mktemp("followed")
    tables = make_tables(7)
    command = Ringwatch(folder / "workspace")
    command.init()
    command.run("ingest", write_drop(folder / "drop", tables))
    command.run("detect", "--seed", "1")
    before = _members(command, folder / "members.csv")
    more = _more_of(tables, 0, [f"late{i}" for i in range(4)], 3, _day(3, 1))
    command.run("ingest", write_drop(folder / "more", more))
    new = make_tables(8, rings=1, loners=5, prefix="new-", month=2)
    for row in new["events"]:
        row |= {"ip": str(row["ip"]).replace("203.0.113.", "198.51.100."), "tool": None, "tool_args": None}
    command.run("ingest", write_drop(folder / "new", new))
    command.run("detect", "--seed", "1")
    return command, before


def test_a_difference_names_what_grew_and_what_was_born(
    followed: tuple[Ringwatch, dict[str, set[str]]], tmp_path: Path
) -> None:
    command, before = followed
    after = _members(command, tmp_path / "members.csv")
    grown, born = _of(before, "ring0-0"), _of(after, "new-ring0-0")
    assert {f"late{i}" for i in range(4)} <= after[grown]
    document = command.json("clusters", "diff")
    assert next(iter(document.values())) == "ringwatch.diff/1"
    events = {row["cluster_id"]: row for row in document["grew"]}
    assert events[grown]["joined"] == len(after[grown] - before[grown])
    assert (events[grown]["before"], events[grown]["size"]) == (len(before[grown]), len(after[grown]))
    assert born in {row["cluster_id"] for row in document["born"]}
    moved = {row["account_id"]: (row["from_cluster_id"], row["to_cluster_id"]) for row in document["moved"]}
    assert all(moved[f"late{i}"] == (None, grown) for i in range(4))
    listed = {row["cluster_id"]: row["status"] for row in command.json("clusters", "list")["clusters"]}
    assert (listed[grown], listed[born]) == ("grew", "new")
    named = command.json("clusters", "diff", document["from_run"], document["to_run"])
    assert named == document
    assert command.json("clusters", "diff", document["from_run"]) == document
    back = command.json("clusters", "diff", document["to_run"], document["from_run"])
    assert grown in {row["cluster_id"] for row in back["shrank"]}
    assert born in {row["cluster_id"] for row in back["ended"]}


def test_the_page_of_a_cluster_and_of_a_difference_say_it_in_words(
    followed: tuple[Ringwatch, dict[str, set[str]]],
) -> None:
    command, before = followed
    grown = _of(before, "ring0-0")
    page = re.sub(r"\s+", " ", command.run("clusters", "show", grown).stdout)
    assert "grew: 6 → 10 accounts, 4 joined, 0 left" in page
    said = command.run("clusters", "diff").stdout
    assert re.search(rf"grew +{grown} ", said)
    assert "late0" in said
    assert command.json("clusters", "show", grown)["lineage"][0]["kind"] == "grew"


def test_runs_that_follow_each_other_repeat_to_the_same_bytes(
    followed: tuple[Ringwatch, dict[str, set[str]]], tmp_path: Path
) -> None:
    command, _ = followed
    runs = {path.name: path for path in (command.workspace / "runs").iterdir()}
    files = {
        (run, str(path.relative_to(folder))): path.read_bytes()
        for run, folder in runs.items() for path in folder.rglob("*.parquet")
    }  # fmt: skip
    assert {"lineage.parquet", "past.parquet", "organizations.parquet"} <= {name for _, name in files}
    diff = command.json("clusters", "diff")
    report = command.json("detect", "--seed", "1")
    assert report["previous"] == diff["from_run"]
    assert command.json("clusters", "diff") == diff
    assert {path.name for path in (command.workspace / "runs").iterdir()} == set(runs)
    for (run, name), data in files.items():
        assert (runs[run] / name).read_bytes() == data, (run, name)


def test_the_first_run_has_nothing_to_differ_from(customers: Ringwatch) -> None:
    refused = customers.call("clusters", "diff", "--json")
    assert refused.code == 2
    assert "is the first" in refused.document["error"]
    assert customers.call("clusters", "diff", "rnowhere", "--json").code == 2


def _suspended(tables: Tables, ring: int, moment: str) -> Tables:
    rows: list[Row] = [
        {**row, "status": "suspended", "updated_at": moment}
        for row in tables["accounts"]
        if row["account_id"].startswith(f"ring{ring}-")
    ]
    return {"accounts": rows}


def test_an_operator_who_comes_back_after_a_takedown_is_named(tmp_path: Path) -> None:
    tables = make_tables(7)
    command = Ringwatch(tmp_path / "workspace")
    command.init()
    command.run("ingest", write_drop(tmp_path / "drop", tables))
    command.run("detect", "--seed", "1")
    taken = _of(_members(command, tmp_path / "members.csv"), "ring1-0")
    command.run("ingest", write_drop(tmp_path / "down", _suspended(tables, 1, _day(2, 20))))
    command.run("detect", "--seed", "1")
    assert _status(command)[taken] == "known", "nobody is back yet"
    more = _more_of(tables, 1, [f"back{i}" for i in range(4)], 3, _day(3, 1))
    command.run("ingest", write_drop(tmp_path / "back", more))
    command.run("detect", "--seed", "1")
    name = _of(_members(command, tmp_path / "members.csv"), "back0")
    assert _status(command)[name] == "returned"
    assert taken in {row["from_cluster_id"] for row in command.json("clusters", "diff")["returned"]}
    command.run("detect", "--seed", "1", "--no-labels")
    assert _status(command)[name] == "known", "a verdict is not looked at where none is to be"


def _status(command: Ringwatch) -> dict[str, str]:
    return {row["cluster_id"]: row["status"] for row in command.json("clusters", "list")["clusters"]}


# -- on simulated worlds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [150, 151])
def test_a_planted_organization_is_one_object_and_no_other_operation_is_tied_to_it(tmp_path: Path, seed: int) -> None:
    drop = tmp_path / "drop"
    command = Ringwatch(tmp_path / "workspace")
    command.run("simulate", "easy", "--output", drop, "--seed", str(seed), "--accounts", "4000")
    command.init()
    command.run("ingest", drop)
    command.run("detect", "--seed", "1", "--no-labels")
    clusters = _members(command, tmp_path / "members.csv")
    label = pd.read_parquet(drop / "truth" / "labels.parquet").set_index("account_id")["group_id"]
    planted = pd.read_parquet(drop / "truth" / "operations.parquet").set_index("group_id")
    listed = command.json("organizations", "list", "--limit", "1000")["organizations"]
    of: dict[str, set[str]] = {
        row["organization_id"]: set().union(*(clusters[name] for name in row["clusters"])) for row in listed
    }
    for group in planted.index[planted["kind"] == "organization"]:
        own = set(label.index[label == group])
        best = max(of, key=lambda name: len(of[name] & own))
        assert len(of[best] & own) >= 0.8 * len(own), group
        assert next(row["score"] for row in listed if row["organization_id"] == best) > 0.5
    for members in of.values():
        inside = label[sorted(members)].dropna().value_counts()
        assert (inside > 2).sum() <= 1, "no organization is of two operations"


def test_the_real_sample_repeats(tmp_path: Path) -> None:
    sample = importlib.resources.files("ringwatch.data") / "sample" / "hop"
    command = Ringwatch(tmp_path / "workspace")
    command.run("init", "--entity-type", "wallet")
    command.run("ingest", str(sample))
    one = command.json("detect", "--seed", "1", "--no-labels")
    two = command.json("detect", "--seed", "1", "--no-labels")
    assert (one["run_id"], one["digest"]) == (two["run_id"], two["digest"])
    command.json("organizations", "list")
