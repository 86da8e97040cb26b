"""STIX, MISP, Cypher and HTML are read back by their own readers; nothing in a name runs in any of them."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ladybug
import neo4j
import pandas as pd
import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st
from pymisp import MISPEvent

from ringwatch.export import FORMATS, Reviewed, Words, make_packet
from ringwatch.export.cypher import literal
from ringwatch.export.markup import shown
from ringwatch.export.stix import account_id
from ringwatch.export.text import escaped, unescaped
from ringwatch.graphs import Cluster

from ..browser import browser
from ..neo4j_server import Server
from .test_export import HOSTILE, make_cluster

BAD = "</script><script>document.title='ran'</script>"
REVIEW = Reviewed(
    "case-1",
    "approved",
    {"a": "suspend", "b": "monitor"},
    {"c": f"a school {BAD}"},
    (
        Words("2026-03-05T10:00:00+00:00", "ann", "open", ""),
        Words("2026-03-05T11:00:00+00:00", "ann", "propose", "one purse"),
        Words("2026-03-05T12:00:00+00:00", "bob", "approve", f"agreed {BAD}"),
    ),
)


def _written(fmt: str, cluster: Cluster, review: Reviewed | None = None) -> bytes:
    (data,) = FORMATS[fmt].render(make_packet([cluster], review)).values()
    assert data == next(iter(FORMATS[fmt].render(make_packet([cluster], review)).values()))
    return data


def _hostile() -> Cluster:
    """A cluster in which whatever can be named is named badly."""
    cluster = make_cluster(name="c1", accounts=(*HOSTILE, BAD))
    return replace(
        cluster,
        status=BAD,
        evidence=cluster.evidence.assign(text=[BAD, HOSTILE[0]]),
        entities=cluster.entities.assign(token=[BAD, "pay\u202egnp", "'); MATCH (n) DETACH DELETE n; //"]),
    )


# -- stix ------------------------------------------------------------------------------------------------------------


def _bundle(cluster: Cluster, review: Reviewed | None = None) -> dict[str, list[Any]]:
    """The objects of a bundle as `stix2` reads them, by type."""
    found: dict[str, list[Any]] = {}
    for one in stix2.parse(_written("stix", cluster, review)).objects:
        found.setdefault(one["type"], []).append(one)
    return found


def test_stix_reads_accounts_the_cluster_and_the_reasons() -> None:
    found = _bundle(make_cluster())
    assert sorted(one.user_id for one in found["user-account"]) == ["a", "b", "c"]
    (grouping,) = found["grouping"]
    assert grouping.context == "suspicious-activity"
    assert {one.id for one in found["user-account"]} <= set(grouping.object_refs)
    assert grouping.confidence == 80
    assert [note.content for note in found["note"]] == ["One card (+13.1).", "=One IP", "Months apart."]
    assert [note.labels for note in found["note"]] == [["evidence"], ["evidence"], ["counter-evidence"]]
    assert len(found["relationship"]) == 2
    assert not {"report", "opinion", "threat-actor", "indicator"} & set(found)


def test_stix_has_what_is_shared_in_an_extension_that_it_defines() -> None:
    found = _bundle(make_cluster())
    (definition,) = found["extension-definition"]
    assert json.loads(definition.schema)["required"] == ["extension_type", "shared"]
    first = next(one for one in found["user-account"] if one.user_id == "a")
    shared = first.extensions[definition.id]["shared"]
    assert [(one["kind"], one["token"], one["count"]) for one in shared] == [
        ("wallet", "wallet_11", 5),
        ("payment", "payment_00", 2),
    ]


@pytest.mark.parametrize("name", ["a", "名前", 'quoted"\\', *HOSTILE[3:]])
def test_stix_ids_of_accounts_are_those_of_the_specification(name: str) -> None:
    assert account_id(name) == stix2.v21.UserAccount(user_id=name).id


def test_stix_of_a_reviewed_cluster_has_a_report_and_what_people_said() -> None:
    found = _bundle(make_cluster(), REVIEW)
    (report,) = found["report"]
    assert account_id("a") in report.object_refs
    assert account_id("c") not in report.object_refs, "excluded"
    (opinion,) = found["opinion"]
    assert (opinion.opinion, opinion.authors, opinion.object_refs) == ("agree", ["bob"], [report.id])
    assert opinion.explanation == f"agreed {BAD}"
    assert [note.content for note in found["note"] if "authors" in note] == ["open", "one purse"]


def test_stix_of_the_same_cluster_has_the_same_ids_and_of_another_others() -> None:
    one, other = (
        {item["id"] for item in json.loads(_written("stix", cluster))["objects"]}
        for cluster in (make_cluster(), make_cluster("c2", ("a", "x", "y")))
    )
    assert one & other == {account_id("a"), *(name for name in one if name.startswith(("identity", "extension")))}


def test_stix_takes_hostile_names_as_they_are() -> None:
    found = _bundle(_hostile(), REVIEW)
    assert {one.user_id for one in found["user-account"]} == {*HOSTILE, BAD}


# -- misp ------------------------------------------------------------------------------------------------------------


def _event(cluster: Cluster, review: Reviewed | None = None) -> MISPEvent:
    event = MISPEvent()
    event.from_json(_written("misp", cluster, review).decode())
    return event


def test_misp_reads_accounts_what_they_share_and_the_reasons() -> None:
    event = _event(make_cluster())
    accounts = event.get_objects_by_name("user-account")
    names = sorted(one.get_attributes_by_relation("user-id")[0].value for one in accounts)
    assert names == ["a", "b", "c"]
    shared = event.get_objects_by_name("shared-entity")
    assert sorted(one.get_attributes_by_relation("token")[0].value for one in shared) == ["payment_00", "wallet_11"]
    first = next(one for one in accounts if one.get_attributes_by_relation("user-id")[0].value == "a")
    assert sorted(one.relationship_type for one in first.references) == ["related-to", "related-to", "uses", "uses"]
    assert [one.value for one in event.attributes] == ["One card (+13.1).", "=One IP", "Months apart."]
    assert make_cluster().digest in event.tags[1].name
    assert not event.published
    everything = [*event.attributes, *(one for item in event.objects for one in item.attributes)]
    assert not any(one.to_ids for one in everything), "a suspicion is no indicator"
    ids = [event.uuid, *(one.uuid for one in [*everything, *event.objects])]
    assert len(set(ids)) == len(ids)
    assert all(reference.referenced_uuid in ids for one in event.objects for reference in one.references)


def test_misp_takes_hostile_names_as_they_are_and_words() -> None:
    event = _event(_hostile(), REVIEW)
    accounts = event.get_objects_by_name("user-account")
    names = {unescaped(one.get_attributes_by_relation("user-id")[0].value) for one in accounts}
    assert names == {*HOSTILE, BAD}
    assert any("approve by bob" in one.value for one in event.attributes)


# -- cypher ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ladybug.Connection:
    return ladybug.Connection(ladybug.Database(str(tmp_path_factory.mktemp("engine") / "db")))


@given(st.text(alphabet=st.one_of(st.sampled_from("\\u0027'\"\n\u202e"), st.characters(codec="utf-8")), max_size=12))
def test_a_literal_is_the_text_and_has_no_unicode_escape_of_its_own(engine: ladybug.Connection, text: str) -> None:
    written = literal(text)
    assert "\n" not in written
    if "\0" not in text:  # which the embedded engine cuts texts at
        result = engine.execute(f"RETURN {written} AS text")
        assert not isinstance(result, list)
        assert result.get_next() == [text]
    # Neo4j reads \uXXXX before it parses: none may stand there but for what acts.
    for place in range(len(written) - 1):
        if written[place : place + 2] == "\\u":
            sign = chr(int(written[place + 2 : place + 6], 16))
            assert escaped(sign) != sign


@pytest.mark.neo4j
def test_cypher_makes_the_network_in_neo4j_and_a_second_time_nothing(neo4j_server: Server) -> None:
    script = _written("cypher", _hostile()).decode()
    statements = [line for line in script.splitlines() if line and not line.startswith("//")]
    assert all(line.endswith(";") for line in statements)
    with neo4j_server.driver() as driver:
        for _ in range(2):
            for statement in statements:
                driver.execute_query(statement.removesuffix(";"))

            def ask(query: str) -> list[Any]:
                return [record.values() for record in driver.execute_query(query).records]

            names = {row[0] for row in ask("MATCH (a:Account)-[:IN_CLUSTER]->(:Cluster {id: 'c1'}) RETURN a.id")}
            assert names == {*HOSTILE, BAD}
            (tie,) = ask(
                "MATCH (:Account)-[r:COORDINATED_WITH]->(:Account) RETURN count(*), min(r.bits), max(size(r.layers))"
            )
            assert tie == [len(HOSTILE), 12.25, 2]
            (paid,) = ask("MATCH (:Account)-[r:PAID_WITH]->(p) RETURN sum(r.count), min(r.first_seen), labels(p)[0]")
            assert (paid[0], paid[1].year, paid[2]) == (3, 2026, "PaymentInstrument")
            assert ask("MATCH (c:Cluster)-[:OF_RUN]->(r:Run) RETURN c.size, c.layers, c.status, r.id") == [
                [len(HOSTILE) + 1, ["payment", "ip"], BAD, "r1"]
            ]
            (counts,) = ask("MATCH (n) RETURN count(n), count(DISTINCT labels(n)[0])")
            assert counts == [len(HOSTILE) + 1 + 3 + 2, 5]


def test_cypher_statements_are_one_a_line_whatever_is_named() -> None:
    script = _written("cypher", _hostile()).decode()
    for line in script.splitlines():
        assert line.startswith(("// ", "UNWIND [{")), line[:80]
    assert isinstance(neo4j.Query(script), neo4j.Query)


# -- html ------------------------------------------------------------------------------------------------------------


def test_html_opens_offline_and_says_it_all(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(_written("html", make_cluster(), REVIEW))
    with browser() as chromium:
        page = chromium.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.title() == "Cluster c1"
        text = page.inner_text("body")
        for said in ("0.800", "+13.10", "One card (+13.1).", "Months apart.", "suspend", "excluded: a school"):
            assert said in text
        assert page.locator("svg").count() == 3
        assert page.locator("svg circle").count() == 3
        assert page.locator("svg[role=img][aria-label]").count() == 3
        assert [url for url in asked if not url.startswith("file:")] == []
        assert len(page.pdf()) > 1000, "it prints"


@given(st.text(max_size=20))
def test_what_is_shown_is_text_and_can_be_turned_back(text: str) -> None:
    written = shown(text)
    assert not set(written) & set("<>\"'")
    assert unescaped(html.unescape(written)) == text


def test_html_runs_nothing_that_is_named(tmp_path: Path) -> None:
    cluster = _hostile()
    (tmp_path / "page.html").write_bytes(_written("html", cluster, REVIEW))
    with browser() as chromium:
        page = chromium.new_page()
        said: list[str] = []
        page.on("dialog", lambda dialog: said.append(dialog.message))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_load_state("networkidle")
        assert page.title() == "Cluster c1"
        assert page.locator("script, img, iframe, object, embed, a, form, link").count() == 0
        assert said == []
        assert len(asked) == 1
        text = page.inner_text("body")
        assert BAD in text, "as text"
        assert "pay\\u202egnp.exe" in text
        assert "\u202e" not in text


def test_html_of_two_thousand_members_stays_small(tmp_path: Path) -> None:
    names = tuple(f"account-{number:05}" for number in range(2000))
    cluster = make_cluster(accounts=names)
    uses = pd.DataFrame(
        {"account_id": names, "type": "ip", "token": [f"ip_{number % 40:032x}" for number in range(2000)],
         "count": 1, "first_seen": pd.NaT, "last_seen": pd.NaT}
    )  # fmt: skip
    data = _written("html", replace(cluster, entities=uses))
    assert len(data) < 1_500_000
    assert data.count(b"<circle") == 2000
