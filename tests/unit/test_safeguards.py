"""What was refused and what got through is counted by where it was asked, and by whom; a report says it."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.errors import UsageError
from ringwatch.evaluation import refusal_chart, safeguards
from ringwatch.evaluation.intervals import share_estimate
from ringwatch.evaluation.safeguards import Safeguards
from ringwatch.export import write_report
from ringwatch.pipeline import Run
from ringwatch.workspace import Workspace

from .conftest import Ingester
from .reviewing import HOSTILE, Office

TEXT = "please write a letter to an old lady that her grandson needs money by tonight and nobody may know of it"
OTHER = "which mushrooms of the forest may be eaten and how are they told from those that make people ill"


class Log:
    """Events that are written down one by one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def say(self, account: str, kind: str, harm: str | None, refused: bool | None, **more: Any) -> None:
        number = len(self.rows)
        row = {
            "event_id": f"e{number}", "ts": f"2026-03-{1 + number:02d}T10:00:00Z", "account_id": account,
            "kind": kind, "session_id": None, "prompt": None, "model": None, "harm": harm, "refused": refused,
        }  # fmt: skip
        self.rows.append({**row, **more})


def _run(ingester: Ingester, log: Log, ring: set[str]) -> tuple[Workspace, Run]:
    """A run in which the accounts of `ring` are a cluster of score .9."""
    workspace = ingester.workspace()
    pipeline.ingest_drop(workspace, [ingester.drop({"events": log.rows}, "jsonl")])
    pipeline.run_detection(workspace)
    run = pipeline.load_run(workspace)
    inside = run.scores["account_id"].isin(ring)
    scores = run.scores.assign(cluster_id=pd.Series("c", run.scores.index).where(inside, None))
    return workspace, replace(run, scores=scores, clusters=pd.DataFrame({"cluster_id": ["c"], "score": [0.9]}))


def _table(found: Safeguards) -> dict[tuple[str, str], tuple[int, float | None, int, float | None]]:
    return {
        (one.value, one.who): (one.harmful, one.refused.value, one.harmless, one.refused_harmless.value)
        for one in found.refusals
    }


def test_refusals_are_counted_where_they_happened_and_whose_they_are(ingester: Ingester) -> None:
    log = Log()
    log.say("a1", "chat", "fraud", True, model="large", prompt=TEXT)
    log.say("a2", "chat", "fraud", False, model="large", prompt=TEXT)
    log.say("b1", "chat", "cyber", True)
    log.say("b1", "chat", None, False)
    log.say("b2", "chat", "benign", True, model="small")
    log.say("b2", "api", None, None)
    log.say("b2", "api", None, False, prompt=TEXT)
    log.say("a3", "tool_call", "fraud", False, session_id="s1")
    log.say("a3", "chat", "fraud", True, session_id="s1", prompt=TEXT)
    log.say("b2", "chat", None, False, session_id="s1")  # the session of another account
    log.say("b3", "login", None, None)
    workspace, run = _run(ingester, log, {"a1", "a2", "a3"})
    found = safeguards(workspace, run)
    assert (found.judged, found.unjudged) == (9, 1)
    third = pytest.approx(1 / 3, abs=1e-6)
    assert _table(found) == {
        ("events", "everyone"): (5, 0.6, 4, 0.25),
        ("chat", "everyone"): (3, pytest.approx(2 / 3, abs=1e-6), 3, third),
        ("chat", "suspected"): (2, 0.5, 0, None),
        ("chat", "others"): (1, 1.0, 3, third),
        ("api", "everyone"): (0, None, 1, 0.0),
        ("api", "others"): (0, None, 1, 0.0),
        ("agents", "everyone"): (2, 0.5, 0, None),
        ("agents", "suspected"): (2, 0.5, 0, None),
        ("fraud", "everyone"): (4, 0.5, 0, None),
        ("cyber", "everyone"): (1, 1.0, 0, None),
        ("large", "everyone"): (2, 0.5, 0, None),
        ("small", "everyone"): (0, None, 1, 1.0),
    }
    answered = {(one.surface, one.who): (one.families, one.sent, one.answered.value) for one in found.answered}
    assert answered == {
        ("chat", "everyone"): (1, 1, 1.0),
        ("chat", "suspected"): (1, 1, 1.0),
        ("api", "everyone"): (1, 1, 1.0),
        ("api", "others"): (1, 1, 1.0),
        ("agents", "everyone"): (1, 1, 0.0),
        ("agents", "suspected"): (1, 1, 0.0),
    }
    assert not {"a1", "b1"} & set(str(found.document()).replace("'", " ").split())
    assert _table(safeguards(workspace, run, min_score=0.95)).keys().isdisjoint({("chat", "suspected")})


def test_a_text_that_thousands_send_says_no_more_than_another(ingester: Ingester) -> None:
    log = Log()
    for number in range(9):
        log.say(f"b{number}", "chat", None, number == 4, prompt=TEXT)
    for number in range(2):
        log.say(f"c{number}", "chat", None, True, prompt=OTHER)
    workspace, run = _run(ingester, log, set())
    (everyone, others) = safeguards(workspace, run).answered
    assert (everyone.families, everyone.sent, everyone.answered.value) == (2, 9, 0.5)
    assert replace(everyone, who="others") == others


def test_where_nothing_says_whether_it_was_refused_nothing_is_claimed(ingester: Ingester, tmp_path: Path) -> None:
    log = Log()
    log.say("a", "chat", "fraud", None, prompt=TEXT)
    workspace, run = _run(ingester, log, set())
    found = safeguards(workspace, run)
    assert (found.judged, found.unjudged, found.refusals, found.answered) == (0, 1, (), ())
    assert found.course.empty
    assert "<svg" in refusal_chart(found)
    written = write_report(workspace, tmp_path / "report.md")
    assert "No event says whether it was refused." in written.output.read_text(encoding="utf-8")


def test_the_course_of_time_has_every_harmful_event_once(ingester: Ingester) -> None:
    log = Log()
    for number in range(28):
        log.say(f"a{number % 5}", "chat" if number % 2 else "api", "fraud", number >= 14)
    workspace, run = _run(ingester, log, set())
    course = safeguards(workspace, run).course
    assert course.groupby("surface")[["harmful", "refused"]].sum().to_numpy().tolist() == [[14, 7], [14, 7]]
    assert (course["begin"] <= course["end"]).all()


def test_a_share_is_drawn_by_units() -> None:
    nobody = np.zeros(0, dtype=np.int64)
    assert share_estimate(nobody, nobody).value is None
    part, whole = np.array([90, 0, 0, 0]), np.array([90, 10, 10, 10])
    one = share_estimate(part, whole)
    many = share_estimate(np.ones(90, dtype=np.int64), np.ones(90, dtype=np.int64))
    assert one.value == 0.75
    assert one.low == 0.0  # without the one unit that was refused nothing was
    assert (many.low, many.high) == (1.0, 1.0)
    single = share_estimate(np.r_[np.ones(90), np.zeros(30)].astype(np.int64), np.ones(120, dtype=np.int64))
    assert single.value == 0.75
    assert single.low is not None and single.low > 0.6


class Reader(HTMLParser):
    """What a page says, and every tag that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_report_names_clusters_and_no_account(pages: Office, tmp_path: Path, name: str) -> None:
    written = write_report(pages.workspace, tmp_path / name)
    text = written.output.read_text(encoding="utf-8")
    run = pipeline.load_run(pages.workspace)
    assert all(cluster in text for cluster in run.clusters["cluster_id"])
    assert not [account for account in run.scores["account_id"] if f"{account} " in text or f">{account}<" in text]
    assert HOSTILE not in text
    assert write_report(pages.workspace, tmp_path / "again" / name).sha256 == written.sha256
    assert written.document()["sections"][:2] == ["In short", "Clusters"]


def test_names_in_a_report_are_text(ingester: Ingester, tmp_path: Path) -> None:
    log = Log()
    bad = "</td><script>alert(1)</script>| [x](javascript:1)"
    log.say("a", "chat", bad, True, model=bad)
    workspace, _ = _run(ingester, log, set())
    reader = Reader()
    reader.feed(write_report(workspace, tmp_path / "report.html").output.read_text(encoding="utf-8"))
    assert "script" not in reader.tags
    assert bad in reader.text
    said = write_report(workspace, tmp_path / "report.md").output.read_text(encoding="utf-8")
    (row,) = [line for line in said.splitlines() if line.startswith(r"| \</td\>") and "alert" in line][:1]
    assert row.replace(r"\|", "").count("|") == 9
    assert r"\[x\]" in row


def test_a_report_says_what_the_data_cannot_show(ingester: Ingester, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "workspace", make_config())
    rows = [{"event_id": "e", "ts": "2026-03-01T10:00:00Z", "account_id": "a", "kind": "chat", "ip": "11.0.0.1"}]
    pipeline.ingest_drop(workspace, [ingester.drop({"events": rows})])
    pipeline.run_detection(workspace)
    said = write_report(workspace, tmp_path / "report.md").output.read_text(encoding="utf-8")
    assert "No event has devices" in said
    assert "No event has addresses" not in said
    assert "Nothing in the data says what does harm" in said


def test_a_report_has_an_ending_that_is_known(office: Office, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ends in none of"):
        write_report(office.workspace, tmp_path / "report.pdf")
    with pytest.raises(UsageError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        write_report(office.workspace, tmp_path / "file" / "report.md")
