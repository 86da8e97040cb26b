"""The way of one case as its people go it, by the command: who is refused what, with which code and which keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drops import make_tables, write_drop
from process import Done

from ..command import Ringwatch

PEOPLE = {"root": "admin", "ann": "analyst", "bob": "reviewer"}


class Desk(Ringwatch):
    """A workspace with a run, and people who sign by files of their passphrases."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "workspace")
        self.folder = folder
        self.run("init")
        self.run("ingest", write_drop(folder / "drop", make_tables(5, loners=30)))
        self.run("detect", "--seed", "1")
        for name, role in PEOPLE.items():
            (folder / name).write_text(f"the passphrase of {name}\n")
            by = () if name == "root" else ("--by", "root", "--by-passphrase-file", folder / "root")
            made = self.json(
                "review", "reviewer", "add", name, "--role", role, *by, "--passphrase-file", folder / name
            )
            assert (made["name"], made["role"], made["enrolled_by"]) == (name, role, "root")

    def by(self, who: str, *arguments: str | Path) -> Done:
        """`review …` by a reviewer, as JSON."""
        said = ("--reviewer", who, "--passphrase-file", self.folder / who, "--json")
        return self.call("review", *arguments, *said)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def _refused(done: Done, code: int, text: str) -> None:
    assert done.code == code, done.stderr
    assert (done.document["schema"], done.document["code"]) == ("ringwatch.error/1", code)
    assert text in done.document["error"]
    assert "Traceback" not in done.stderr


def test_a_case_goes_from_the_queue_to_its_reversal(desk: Desk, tmp_path: Path) -> None:
    queue = desk.json("review", "queue")["queue"]
    assert {"case_id", "state", "cluster_digest"} <= set(queue[0])
    cluster = queue[0]["cluster_id"]
    opened = desk.by("ann", "open", cluster).document
    assert (opened["case_id"], opened["state"], opened["cluster_digest"]) == (
        "case-1",
        "open",
        queue[0]["cluster_digest"],
    )
    _refused(desk.by("ann", "open", cluster), 2, "case-1, which is open")
    member = desk.json("clusters", "show", cluster)["members"][0]["account_id"]
    proposed = desk.by(
        "ann", "propose", "case-1", "--action", "limit", "--exclude", f"{member}=a school", "--reason", "one purse"
    ).document
    assert (proposed["state"], proposed["excluded"]) == ("proposed", {member: "a school"})
    approve = ("decide", "case-1", "--decision", "approve", "--reason", "agreed")
    _refused(desk.by("ann", *approve), 5, "ann is analyst")
    _refused(desk.by("root", *approve), 5, "root is admin")
    wrong = desk.call("review", *approve, "--reviewer", "bob", "--passphrase-file", desk.folder / "ann", "--json")
    _refused(wrong, 5, "not the passphrase of bob")
    _refused(desk.call("review", *approve, "--reviewer", "bob", "--json"), 2, "passphrase of bob is needed")
    _refused(desk.call("takedown", "export", "case-1", "--output", tmp_path / "early", "--json"), 5, "is proposed")
    approved = desk.by("bob", *approve).document
    assert (approved["state"], approved["approver"]) == ("approved", "bob")
    assert approved["labels"] == len(approved["actions"])
    anchor = desk.run("audit", "export", "--anchor").stdout
    exported = desk.json("takedown", "export", "case-1", "--output", tmp_path / "packet")
    assert (exported["state"], exported["cluster_digest"]) == ("exported", approved["cluster_digest"])
    assert member not in (tmp_path / "packet" / "accounts.csv").read_text()
    assert (
        desk.by("ann", "decide", "case-1", "--decision", "apply", "--reason", "ticket").document["state"] == "applied"
    )
    reversed_ = desk.by("bob", "decide", "case-1", "--decision", "reverse", "--reason", "a school, all of it")
    assert reversed_.document["state"] == "reversed"
    history = desk.json("review", "history", "case-1")
    assert (history["case_id"], history["state"]) == ("case-1", "reversed")
    said = [(event["actor"], event["what"]) for event in history["history"]]
    assert said == [
        ("ann", "open"), ("ann", "exclude"), ("ann", "propose"), ("bob", "approve"), (None, "export"),
        ("ann", "apply"), ("bob", "reverse"),
    ]  # fmt: skip
    page = desk.run("review", "history", "case-1").stdout
    for text in ("case-1: reversed", "a school", "one purse", "agreed"):
        assert text in page
    kept = tmp_path / "anchor"
    kept.write_text(anchor)
    found = desk.json("audit", "verify", "--anchor", kept)
    assert (found["ok"], found["cases"], found["anchored"]) == (True, 1, True)
    desk.run("audit", "export", "--output", tmp_path / "log.jsonl")
    assert (tmp_path / "log.jsonl").read_bytes() == (desk.workspace / "audit.log").read_bytes()
    # An edit, and a cut: both are found.
    log = desk.workspace / "audit.log"
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b"agreed", b"AGREED"))
    _refused(desk.call("audit", "verify", "--json"), 1, "does not hold")
    _refused(desk.by("ann", "open", cluster), 1, "does not hold")
    warned = desk.run("detect", "--seed", "1")
    assert "New verdicts are not counted" in warned.stderr
    lines = whole.splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4]))
    assert desk.call("audit", "verify").code == 0
    _refused(desk.call("audit", "verify", "--anchor", kept, "--json"), 1, "cut off")
    log.write_bytes(whole)


def test_a_wrong_word_is_wrong_usage(desk: Desk) -> None:
    for arguments in (
        ("decide", "case-1", "--decision", "maybe", "--reason", "x"),
        ("propose", "case-1", "--action", "delete", "--reason", "x"),
        ("propose", "case-9", "--reason", "x"),
        ("open", "no-such-cluster"),
    ):
        done = desk.by("ann", *arguments)
        assert done.code == 2, done.stderr
    assert desk.call("review", "queue", "--state", "lost").code == 2
    assert desk.call("audit", "export").code == 2
    assert desk.call("audit", "verify", "--anchor", "nothing").code == 2
    first = desk.call("review", "reviewer", "add", "eve", "--role", "reviewer", "--json")
    assert json.loads(first.stdout)["code"] == 2


def test_an_account_is_forgotten_by_the_command(desk: Desk) -> None:
    done = desk.json("forget", "loner3", "--reason", "request 7")
    assert (done["accounts"], done["rows"]["accounts"]) == (1, 1)
    assert done["originals"] > 0
    assert desk.call("forget", "loner3", "--reason", "once more").code == 2
    assert desk.call("forget", "--older-than", "soon", "--reason", "x").code == 2
    assert desk.call("forget", "loner4").code == 2
    desk.run("audit", "verify")
    desk.run("doctor")
