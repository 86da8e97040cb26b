"""The door for browsers: who gets in, what is refused, and that nothing in a name acts on a page."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from drops import make_tables, write_drop
from fastapi.testclient import TestClient
from httpx import Response

from ringwatch import audit, pipeline
from ringwatch.cli.main import run as run_command
from ringwatch.errors import PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.review import Action, State, load_book, open_cases, propose, retire
from ringwatch.web import Limits, bind, make_app
from ringwatch.web.sessions import Sessions, Throttle
from ringwatch.web.visits import here

from .reviewing import HOSTILE, PASSPHRASE, Office

pytestmark = pytest.mark.xdist_group("web")

HOST = "127.0.0.1:8713"
ORIGIN = f"http://{HOST}"


@dataclass
class Browser:
    """A client that keeps cookies and sends forms as the pages have them."""

    client: TestClient

    def get(self, place: str, **more: Any) -> Response:
        found: Response = self.client.get(place, **more)
        return found

    def token(self, place: str) -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.get(place).text)
        assert found is not None
        return found[1]

    def send(self, place: str, form: dict[str, Any], *, token: str | None = None, **more: Any) -> Response:
        body = {"token": self.token("/queue") if token is None else token, **form}
        found: Response = self.client.post(
            place, data=body, headers={"origin": ORIGIN, **more.pop("headers", {})}, **more
        )
        return found

    def sign_in(self, name: str, passphrase: str = PASSPHRASE) -> Response:
        form = {"name": name, "passphrase": passphrase, "next": "/queue"}
        return self.send("/signin", form, token=self.token("/signin"))

    def signed(self, place: str, **form: Any) -> Response:
        """A form that is signed."""
        return self.send(place, {"passphrase": PASSPHRASE, "reason": "because", **form})


@contextmanager
def browsing(office: Office, who: str | None = None, limits: Limits | None = None) -> Iterator[Browser]:
    app = make_app(office.workspace.root, {HOST: ORIGIN}, limits=limits)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        browser = Browser(client)
        if who is not None:
            assert browser.sign_in(who).status_code == 303
        yield browser


def _sentence(answer: Response) -> str:
    found = re.search(r'role="alert">([^<]+)<', answer.text)
    assert found is not None, answer.text[:2000]
    assert "Traceback" not in answer.text
    return unescape(found[1])


def _entries(office: Office) -> list[dict[str, Any]]:
    return audit.read(office.workspace.audit_path)


# -- who gets in -----------------------------------------------------------------------------------------------------


def test_pages_are_for_those_who_sign_in(pages: Office) -> None:
    cluster = pages.clusters[0]
    with browsing(pages) as browser:
        for place in ("/queue", f"/clusters/{cluster}", "/cases/case-1", "/accounts/loner3", "/audit"):
            answer = browser.get(place)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/signin"), place
        assert browser.get(f"/clusters/{cluster}/graph", headers={"accept": "application/json"}).status_code == 401
        before = len(_entries(pages))
        token = browser.token("/signin")
        for place in (f"/clusters/{cluster}/propose", f"/clusters/{cluster}/reveal", "/cases/case-1/decide"):
            assert browser.send(place, {}, token=token).status_code == 401, place
        assert len(_entries(pages)) == before
        for name, passphrase in (("ann", "wrong horse"), ("eve", PASSPHRASE), ("../root", PASSPHRASE), ("", "")):
            refused = browser.sign_in(name, passphrase)
            assert (refused.status_code, _sentence(refused)) == (403, "The name or the passphrase is wrong.")
        assert browser.get("/queue").status_code == 303
        entered = browser.sign_in("ann")
        assert (entered.status_code, entered.headers["location"]) == (303, "/queue")
        cookie = next(one for one in entered.headers.get_list("set-cookie") if one.startswith("ringwatch-8713="))
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Max-Age" not in cookie
        assert "Secure" not in cookie, "a browser would not send it back to plain loopback"
        assert browser.get("/queue").status_code == 200
        old = browser.client.cookies["ringwatch-8713"]
        assert browser.send("/signout", {}).status_code == 303
        browser.client.cookies.set("ringwatch-8713", old)
        assert browser.get("/queue").status_code == 303, "the session has ended, not only its cookie"


def test_a_session_ends_idle_old_and_when_its_reviewer_retires(pages: Office) -> None:
    now = [0.0]
    sessions = Sessions(Limits(idle=10, life=25), clock=lambda: now[0])
    made = sessions.begin("ann")
    for moment, there in ((9.0, True), (18.0, True), (24.0, True), (26.0, False)):
        now[0] = moment
        assert (sessions.find(made) is not None) is there, moment
    made = sessions.begin("ann")
    now[0] += 11
    assert sessions.find(made) is None
    assert sessions.find("x" * 43) is None and sessions.find(None) is None
    with browsing(pages, "ann") as browser:
        retire(pages.workspace, "ann", by=pages.people["root"], reason="left")
        assert browser.get("/queue").status_code == 303
        assert browser.sign_in("ann").status_code == 403


def test_passphrases_are_not_tried_fast(pages: Office) -> None:
    now = [0.0]
    throttle = Throttle(Limits(tries=3, tries_a_minute=8, longest_wait=60), clock=lambda: now[0])
    waits = []
    for _ in range(7):
        throttle.failed("Ann")
        waits.append(throttle.wait("ann"))
    assert waits == [0, 0, 2, 4, 8, 16, 32]
    assert throttle.wait("bob") == 0
    throttle.failed("bob")
    assert throttle.wait("cyd") == 60, "all names have so many a minute"
    now[0] = 61
    assert throttle.wait("cyd") == throttle.wait("ann") == 0
    throttle.failed("ann")
    throttle.passed("ann")
    assert throttle.wait("ann") == 0
    with browsing(pages, "bob", Limits(tries=2)) as browser:
        case = open_cases(pages.workspace, pages.people["ann"], pages.clusters[:1]).cases[0].case_id
        propose(pages.workspace, pages.people["ann"], [case], action=Action.SUSPEND, reason="one purse")
        head = load_book(pages.workspace).case(case).head
        form = {"decision": "approve", "reason": "yes", "seen": head}
        for _ in range(2):
            wrong = browser.send(f"/cases/{case}/decide", {**form, "passphrase": "wrong horse battery"})
            assert wrong.status_code == 403
        right = browser.send(f"/cases/{case}/decide", {**form, "passphrase": PASSPHRASE})
        assert right.status_code == 429 and "wait" in _sentence(right), "decisions are no way round the throttle"
        assert load_book(pages.workspace).case(case).state is State.PROPOSED


# -- what is refused -------------------------------------------------------------------------------------------------


def test_every_answer_carries_the_headers_and_nothing_is_inline(pages: Office) -> None:
    cluster = pages.clusters[0]
    with browsing(pages, "ann") as browser:
        places = (
            "/queue",
            f"/clusters/{cluster}",
            "/accounts/loner3",
            "/audit",
            "/signin",
            "/nowhere",
            "/clusters/nope",
            "/static/app.js",
        )
        answers = [browser.get(place) for place in places]
        answers += [
            browser.get("/queue", headers={"host": "evil.example"}),
            browser.send("/cases/x/decide", {}, token=""),
        ]
        for answer in answers:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
            assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "server" not in answer.headers
            if "text/html" in answer.headers["content-type"]:
                assert answer.headers["cache-control"] == "no-store"
                assert _acting(answer.text) == [], answer.url


class _Acting(HTMLParser):
    """Notes what runs or is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("style", "iframe", "object", "embed", "base") or (tag == "script" and not named.get("src")):
            self.found.append(tag)
        self.found += [name for name in named if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action", "formaction"):
            place = named.get(name)
            if place is not None and (not place.startswith(("/", "#", "?")) or place.startswith("//")):
                self.found.append(place)


def _acting(page: str) -> list[str]:
    reader = _Acting()
    reader.feed(page)
    return reader.found


_STRANGE = ("evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:8713", "[::1]:8713", "")


def test_another_name_of_this_machine_is_not_answered_to(pages: Office) -> None:
    with browsing(pages, "ann") as browser:
        for host in (*_STRANGE, f"{HOST}.evil.example"):
            assert browser.get("/queue", headers={"host": host}).status_code == 421, host
        assert browser.get("/queue", headers={"host": HOST}).status_code == 200


def test_forms_of_other_sites_and_of_other_sessions_do_nothing(pages: Office) -> None:
    cluster = pages.clusters[0]
    with browsing(pages, "ann") as browser, browsing(pages, "bob") as other:
        before = len(_entries(pages))
        place, form = f"/clusters/{cluster}/open", {"passphrase": PASSPHRASE}
        token = browser.token("/queue")
        for headers in (
            {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:8714"},
            {"origin": "https://127.0.0.1:8713"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        ):  # fmt: skip
            assert browser.send(place, form, token=token, headers=headers).status_code == 403, headers
        for wrong in ("", "x", other.token("/queue"), token[:-1]):
            assert browser.send(place, form, token=wrong).status_code == 403, wrong
        assert browser.send("/signout", {}, token="").status_code == 403
        as_json = {"content-type": "application/json"}
        sent = browser.client.post(place, content=json.dumps({**form, "token": token}), headers=as_json)
        assert sent.status_code == 415
        assert browser.get(place).status_code == 405
        assert browser.client.put(place).status_code == 405
        assert len(_entries(pages)) == before
        assert browser.send(place, form).status_code == 303
        # Signing in, too: nobody is signed in as somebody else without knowing.
        browser.client.cookies.clear()
        assert browser.send("/signin", {"name": "bob", "passphrase": PASSPHRASE}, token="0" * 64).status_code == 403


def test_what_is_too_long_or_no_form_is_not_read(pages: Office) -> None:
    with browsing(pages, "ann") as browser:
        token, place = browser.token("/queue"), f"/clusters/{pages.clusters[0]}/propose"
        assert browser.send(place, {"reason": "x" * (2 << 20)}, token=token).status_code == 413
        kind = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN}

        def pieces() -> Iterator[bytes]:
            for _ in range(40):
                yield b"x" * (1 << 16)

        assert browser.client.post(place, content=pieces(), headers=kind).status_code == 413, "no length was declared"
        assert browser.client.post(place, content=b"a=%ff\xff", headers=kind).status_code == 400
        assert browser.client.post(place, content=b"a=1&" * 100_000, headers=kind).status_code == 400
        assert browser.get("/queue?page=x").status_code == 400
        assert browser.get("/queue?state=nowhere").status_code == 404


def test_only_pages_of_this_server_follow_signing_in() -> None:
    assert here("/clusters/c1?run=r1") == "/clusters/c1?run=r1"
    for place in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "\\\\evil",
        "",
        "/a\nb",
        "javascript:x",
    ):
        assert here(place) == "/queue", place


def test_an_address_that_others_reach_is_refused_unless_asked_for(tmp_path: Path) -> None:
    with bind(port=0).socket as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match="cannot be taken"):
            bind(port=port)
    bound = bind(port=0, names=["review.example"])
    bound.socket.close()
    assert "https://review.example" in bound.origins.values(), "behind a proxy"
    for address in ("0.0.0.0", "::", "192.0.2.7"):  # noqa: S104 (is refused)
        with pytest.raises(PolicyError, match="can be reached from other machines"):
            bind(address, 0)
    with pytest.raises(PolicyError, match="must not be readable on the way"):
        bind("0.0.0.0", 0, allow_network=True, names=["review.example"])  # noqa: S104 (is refused)
    with pytest.raises(UsageError, match="no IP address"):
        bind("review.example", 0)
    pair = (tmp_path / "chain.pem", tmp_path / "key.pem")
    bound = bind("0.0.0.0", 0, allow_network=True, names=["Review.example:8443"], certificate=pair)  # noqa: S104 (asked for)
    bound.socket.close()
    assert bound.origins == {"review.example:8443": "https://review.example:8443"}


def test_cookies_are_secure_where_the_browser_speaks_tls(pages: Office) -> None:
    app = make_app(pages.workspace.root, {"review.example": "https://review.example"})
    with TestClient(app, base_url="https://review.example") as client:
        assert "Secure" in client.get("/signin").headers["set-cookie"]


# -- nothing in a name acts ------------------------------------------------------------------------------------------


def test_hostile_names_are_spelled_out_wherever_they_stand(pages: Office) -> None:
    cluster = pages.cluster(pages.place(HOSTILE))
    evil = [name for name in cluster.members["account_id"] if name.startswith(HOSTILE)]
    with browsing(pages, "ann") as browser:
        place = f"/clusters/{cluster.cluster_id}"
        page = browser.get(place).text
        graph = browser.get(f"{place}/graph")
        case = open_cases(pages.workspace, pages.people["ann"], [cluster.cluster_id]).cases[0]
        done = browser.signed(
            f"/cases/{case.case_id}/exclude", account=_spelled(evil[0]), reason=f"a school {HOSTILE}"
        )
        assert done.status_code == 303, done.text
        assert set(load_book(pages.workspace).case(case.case_id).excluded) == {evil[0]}, "a shown id comes back whole"
        texts = [page, browser.get(done.headers["location"]).text, browser.get("/audit").text]
        texts.append(browser.get("/queue", params={"find": evil[0]}).text)
        linked = re.search(r"<a href=(/accounts/\S*" + quote("</script>", safe="") + r"[^>\s]*)>", page)
        assert linked is not None
        texts.append(browser.get(linked[1]).text)
        assert texts[-1].count(linked[1]) == 0 and "Tied to" in texts[-1]
        assert "--param 'account=" in unescape(texts[-1]), "a shell is told that it is one word"
        for text in texts:
            assert "<img src=x" not in text and _acting(text) == []
            assert "\u202e" not in text and "\\u202e" in text
            assert "49&amp;" not in text
        assert "\u202e" not in graph.text and graph.headers["content-type"] == "application/json"
        assert any("u202e" in name for name in graph.json()["ids"])


def _spelled(name: str) -> str:
    return name.replace("\u202e", "\\u202e")


# -- the way of a case -----------------------------------------------------------------------------------------------


def _propose(browser: Browser, office: Office, place: int = 0, **more: Any) -> Response:
    cluster = office.cluster(place)
    return browser.signed(
        f"/clusters/{cluster.cluster_id}/propose", action="suspend", digest=cluster.digest, case="", seen="", **more
    )


def test_a_case_goes_its_way_and_one_person_alone_does_not_take_it(pages: Office) -> None:
    members = sorted(pages.cluster().members["account_id"])
    with browsing(pages, "bob") as bob, browsing(pages, "cyd") as cyd, browsing(pages, "ann") as ann:
        proposed = _propose(bob, pages, a1="monitor", x2="1", w2="a school")
        assert proposed.headers["location"] == "/cases/case-1"
        assert "a second reviewer decides on it" in bob.get("/cases/case-1").text
        assert "a second reviewer decides on it" not in bob.get("/cases/case-1").text, "it is said once"
        case = load_book(pages.workspace).case("case-1")
        assert case.excluded == {members[2]: "a school"}
        assert case.actions == {members[1]: "monitor", **dict.fromkeys((members[0], *members[3:]), "suspend")}
        assert (case.proposer, case.state) == ("bob", State.PROPOSED)
        page = bob.get("/cases/case-1").text
        assert "bob proposed case-1 and cannot decide on it." in page and 'value="approve"' not in page
        assert 'id="propose"' not in page and "left out: a school" in page and "new in this run" in page
        assert 'id="propose"' in bob.get("/cases/case-1?anew=1").text
        approve = {"decision": "approve", "seen": case.head}
        own = bob.signed("/cases/case-1/decide", **approve)
        assert (own.status_code, _sentence(own)) == (403, "bob proposed case-1 and cannot decide on it.")
        role = ann.signed("/cases/case-1/decide", **approve)
        assert role.status_code == 403 and "ann is analyst" in _sentence(role)
        assert 'value="approve"' in cyd.get("/cases/case-1").text
        early = cyd.send("/cases/case-1/packet", {})
        assert early.status_code == 403 and "only what two people approved" in _sentence(early)
        unseen = cyd.signed("/cases/case-1/decide", decision="approve", seen="0" * 64)
        assert unseen.status_code == 403 and "has gone on since" in _sentence(unseen)
        assert cyd.signed("/cases/case-1/decide", **approve, reason=" ").status_code == 409
        assert cyd.signed("/cases/case-1/decide", **approve).status_code == 303
        packet = cyd.send("/cases/case-1/packet", {})
        assert (
            packet.headers["content-type"] == "application/zip"
            and "attachment" in packet.headers["content-disposition"]
        )
        with zipfile.ZipFile(io.BytesIO(packet.content)) as archive:
            manifest = json.loads(archive.read("case-1/manifest.json"))
            assert {f"case-1/{one['path']}" for one in manifest["files"]} < set(archive.namelist())
        assert cyd.send("/cases/case-1/packet", {}).content == packet.content, "the same bytes"
        for who, decision, state in (
            (ann, "apply", State.APPLIED), (ann, "appeal", State.APPEALED), (cyd, "overturn", State.OVERTURNED),
        ):  # fmt: skip
            head = load_book(pages.workspace).case("case-1").head
            form = {"decision": decision, "seen": head}
            if decision == "appeal":
                form["accounts"] = _spelled(members[0])
            done = who.signed("/cases/case-1/decide", **form)
            assert done.status_code == 303, done.text
            assert load_book(pages.workspace).case("case-1").state is state
            assert [one.get("/cases/case-1").status_code for one in (ann, bob, cyd)] == [200, 200, 200]
        assert "Open another case" in cyd.get("/cases/case-1").text
        assert {one["what"] for one in _history(cyd.get("/cases/case-1").text)} >= {"overturn", "appeal", "approve"}
        holds = cyd.get("/audit").text
        assert "The chain holds." in holds and "3 reviewers" not in holds


def _history(page: str) -> list[dict[str, str]]:
    section = page[page.index('id="history"') :]
    return [{"what": what} for what in re.findall(r"<li><b>([a-z]+)</b>", section)]


def test_a_proposal_is_of_what_was_looked_at(pages: Office) -> None:
    with browsing(pages, "ann") as ann:
        cluster = pages.cluster()
        place = f"/clusters/{cluster.cluster_id}/propose"
        stale = ann.signed(place, action="suspend", digest="0" * 64, case="", seen="")
        assert stale.status_code == 403 and "has changed since you looked at it" in _sentence(stale)
        for form in ({"action": "jail"}, {"reason": " "}, {"x1": "1"}, {"x99": "1", "w99": "out"}):
            more = {"action": "suspend", "digest": cluster.digest, "case": "", "seen": "", **form}
            refused = ann.signed(place, **more)
            assert refused.status_code == 409, form
        assert load_book(pages.workspace).cases == {}
        assert _propose(ann, pages).status_code == 303
        head = load_book(pages.workspace).case("case-1").head
        form = {"action": "limit", "digest": cluster.digest, "case": "case-1"}
        assert ann.signed(place, **form, seen="0" * 64).status_code == 403
        assert ann.signed(place, **form, seen=head).status_code == 303
        assert set(load_book(pages.workspace).case("case-1").actions.values()) == {"limit"}


def _rows(browser: Browser) -> dict[str, tuple[str, str]]:
    """Of each row of the queue that can be chosen, by its first name: what it stands for, and what can be done."""
    found = re.findall(r'name="row" value="([^"]+)" form="several" data-acts="([^"]*)"', browser.get("/queue").text)
    return {key.split(" ")[0]: (key, acts) for key, acts in found}


def test_several_are_decided_in_one_job_and_taken_back(pages: Office) -> None:
    def states() -> list[State]:
        return [case.state for case in load_book(pages.workspace).cases.values()]

    with browsing(pages, "ann") as ann, browsing(pages, "bob") as bob, browsing(pages, "root") as root:
        assert _rows(root) == {}, "an admin decides nothing"
        first, second = pages.clusters[:2]
        assert _rows(ann)[first] == (first, "open")
        for rows, act in (([], "open"), ([first], "approve"), ([first], "erase")):
            assert ann.signed("/queue/act", act=act, row=rows).status_code == 409
        wrong = ann.send("/queue/act", {"act": "open", "row": first, "reason": "x", "passphrase": "wrong"})
        assert (wrong.status_code, states()) == (403, [])
        done = ann.signed("/queue/act", act="open", row=[first, second], next="/queue?state=open")
        assert (done.status_code, done.headers["location"]) == (303, "/queue?state=open")
        said = ann.get(done.headers["location"]).text
        assert "2 cases are open." in said and "taken back on the page" not in said, "an opening stays"
        offered = _rows(ann)
        assert offered["case-1"][1] == "propose close"
        both = [offered["case-1"][0], offered["case-2"][0]]
        assert ann.signed("/queue/act", act="propose", action="jail", row=both).status_code == 409
        assert ann.signed("/queue/act", act="propose", action="limit", row=both).status_code == 303
        said = ann.get("/queue").text
        assert re.search(r"2 cases are proposed\. Job job-[0-9a-f]{8} can be taken back on the page", said)
        assert states() == [State.PROPOSED] * 2
        stale = bob.signed("/queue/act", act="approve", row=both)
        assert stale.status_code == 403 and "has gone on since" in _sentence(stale)
        both = [_rows(bob)[name][0] for name in ("case-1", "case-2")]
        assert _rows(bob)["case-1"][1] == "propose approve return reject close"
        own = ann.signed("/queue/act", act="approve", row=both)
        assert own.status_code == 403 and states() == [State.PROPOSED] * 2
        half = bob.signed("/queue/act", act="approve", row=[both[0], "case-2 " + "0" * 64 + " x"])
        assert half.status_code == 403 and states() == [State.PROPOSED] * 2, "whole or not at all"
        assert bob.signed("/queue/act", act="approve", row=both, reason="both alike").status_code == 303
        approved = load_book(pages.workspace).case("case-2").events[-1]
        assert approved["reason"] == "both alike" and approved["job"]["cases"] == 2
        page = bob.get("/cases/case-1").text
        assert f"Take the job {approved['job']['id']} back" in page
        undone = bob.signed("/cases/case-1/undo", job=approved["job"]["id"])
        assert "Taken back in 2 cases." in bob.get(undone.headers["location"]).text
        assert states() == [State.PROPOSED] * 2


def test_an_account_has_its_page(pages: Office) -> None:
    member = next(name for name in pages.cluster().members["account_id"] if not name.startswith(HOSTILE))
    known = pipeline.load_account(pages.workspace, member)
    with browsing(pages, "ann") as ann:
        assert f"<a href=/accounts/{member}>" in ann.get(f"/clusters/{pages.clusters[0]}").text
        page = ann.get(f"/accounts/{member}").text
        strongest = known.ties.iloc[0]
        assert f'href="/accounts/{strongest["other_id"]}"' in page and f"{strongest['bits']:+.1f}" in page
        assert f'href="/clusters/{pages.clusters[0]}"' in page and "nobody has judged it" in page
        for entity in known.shared["entity"]:
            assert f'title="{entity}"' in page
        assert f"{int(known.timeline['events'].sum()):,} <small>" in page
        assert unescape(page).count("ringwatch query run") == sum("query run" in line for line in known.next)
        case = open_cases(pages.workspace, pages.people["ann"], pages.clusters[:1]).cases[0].case_id
        ann.signed(f"/cases/{case}/exclude", account=member, reason="a school")
        assert "left out: a school" in ann.get(f"/accounts/{member}").text
        alone = ann.get("/accounts/loner3").text
        assert "in no cluster" in alone
        nobody = ann.get("/accounts/no/body")
        assert (nobody.status_code, _sentence(nobody)) == (404, "There is no account no/body.")


def test_a_case_of_yesterday_is_shown_as_it_was_and_not_approved_today(pages: Office, tmp_path: Path) -> None:
    with browsing(pages, "ann") as ann, browsing(pages, "bob") as bob:
        assert _propose(ann, pages, pages.place("ring0")).status_code == 303
        case = load_book(pages.workspace).case("case-1")
        late = [
            {**row, "event_id": f"late-{row['event_id']}"}
            for row in make_tables(5, loners=0)["events"]
            if row["account_id"].startswith("ring0")
        ]
        pipeline.ingest_drop(pages.workspace, [write_drop(tmp_path / "late", {"events": late})])
        pipeline.run_detection(pages.workspace, seed=1)
        page = bob.get("/cases/case-1").text
        assert f"This is the cluster as run {case.run_id} had it." in page
        assert f'<a href="/clusters/{case.cluster_id}">See it as it is now</a>' in page
        refused = bob.signed("/cases/case-1/decide", decision="approve", seen=case.head)
        assert refused.status_code == 403 and "stale" in _sentence(refused)
        assert "stale" in bob.get("/queue").text
        now = ann.get(f"/clusters/{case.cluster_id}").text
        assert "nobody can approve it until it is proposed again" in now
        form = {"action": "suspend", "case": "case-1", "seen": case.head}
        place = f"/clusters/{case.cluster_id}/propose"
        assert ann.signed(place, **form, digest=case.digest).status_code == 403, "it is another cluster now"
        assert ann.signed(place, **form, digest=pages.cluster(pages.place("ring0")).digest).status_code == 303
        head = load_book(pages.workspace).case("case-1").head
        assert bob.signed("/cases/case-1/decide", decision="approve", seen=head).status_code == 303


def test_an_original_is_shown_for_a_reason_that_is_kept(pages: Office) -> None:
    cluster = pages.cluster()
    with browsing(pages, "ann") as ann:
        place = f"/clusters/{cluster.cluster_id}"
        page = ann.get(place).text
        assert "markword" not in page, "originals are not in the page"
        tokens = re.findall(r'name="original" value="(prompt_[0-9a-f]{16})"', page)
        assert tokens, "families have exemplars"
        before = len(_entries(pages))
        assert ann.send(f"{place}/reveal", {"original": tokens[0], "reason": " "}).status_code == 409
        other = next(one for one in pages.cluster(1).entities["token"] if one.startswith("device_"))
        assert ann.send(f"{place}/reveal", {"original": other, "reason": "to see"}).status_code == 409
        assert len(_entries(pages)) == before
        form = {"original": tokens[0], "reason": "is it a template?"}
        as_script = {"accept": "application/json"}
        shown = ann.send(f"{place}/reveal", form, headers=as_script)
        assert "markword" in shown.json()["values"][0]["value"][0]
        last = _entries(pages)[-1]
        assert (last["action"], last["token"], last["reason"], last["actor"]) == (
            "reveal",
            tokens[0],
            form["reason"],
            "ann",
        )
        plain = ann.send(f"{place}/reveal", form)
        assert "markword" in plain.text and plain.headers["cache-control"] == "no-store"


def test_pages_are_read_and_decisions_signed_while_somebody_writes(pages: Office) -> None:
    with browsing(pages, "ann") as ann, browsing(pages, "bob") as bob, pages.workspace.writer():
        assert ann.get("/queue").status_code == 200
        assert _propose(ann, pages).status_code == 303
        head = load_book(pages.workspace).case("case-1").head
        assert bob.signed("/cases/case-1/decide", decision="approve", seen=head).status_code == 303
        assert bob.get("/cases/case-1").status_code == 200


def test_failures_are_one_sentence_with_a_status(pages: Office, caplog: pytest.LogCaptureFixture) -> None:
    with browsing(pages, "ann") as ann:
        for place in ("/clusters/c0", "/cases/case-9", "/nowhere", "/static/../app.py", "/clusters/%00"):
            assert ann.get(place).status_code == 404, place
        said = ann.get("/cases/case-9")
        assert _sentence(said) == "There is no case case-9."
        form = {"decision": "approve", "passphrase": PASSPHRASE}
        again = ann.send("/cases/case-9/decide", form, headers={"accept": "application/json"})
        assert again.status_code == 409 and again.json()["error"] == "There is no case case-9."
        path = pages.workspace.audit_path
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"', b"'", 1)]))
        broken = ann.get("/audit")
        assert broken.status_code == 500 and "does not hold" in _sentence(broken)
        path.write_bytes(b"".join(lines))
        caplog.set_level(logging.INFO, logger="ringwatch.web")
        (pages.workspace.root / "CURRENT").write_bytes(b"{}")
        assert ann.get("/queue").status_code == 500
    for record in caplog.records:
        assert record.exc_info is None and HOSTILE not in record.getMessage()


def test_a_fault_of_ours_tells_nothing(pages: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    with browsing(pages, "ann") as ann:
        monkeypatch.setattr("ringwatch.web.pages.review_queue", fail)
        answer = ann.get("/queue")
        assert answer.status_code == 500 and "a secret" not in answer.text
        assert _sentence(answer) == "Something unforeseen happened; it is a fault of ringwatch."
        assert "content-security-policy" in answer.headers


def test_a_key_that_was_not_enrolled_signs_nobody_in(pages: Office) -> None:
    place = pages.workspace.root / "keys" / "reviewers"
    (place / "bob.json").write_bytes((place / "cyd.json").read_bytes())
    with browsing(pages) as browser:
        assert browser.sign_in("bob").status_code == 403


def test_without_a_run_the_queue_says_what_to_do(tmp_path: Path, pages: Office) -> None:
    current = pages.workspace.current()
    pages.workspace.commit(current.with_(runs=()))
    with browsing(pages, "ann") as ann:
        answer = ann.get("/queue")
        assert answer.status_code == 404 and "There is no run yet" in _sentence(answer)
    with pytest.raises(RingwatchError, match="There is no workspace"):
        make_app(tmp_path / "nowhere", {HOST: ORIGIN})


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_serves_until_it_is_interrupted(pages: Office) -> None:
    command = [
        sys.executable,
        "-c",
        "from ringwatch.cli import main; main()",
        "--workspace",
        str(pages.workspace.root),
    ]
    with subprocess.Popen([*command, "serve", "--port", "0", "--json", "--quiet"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        try:
            assert said["schema"] == "ringwatch.serve/1" and said["url"].startswith("http://127.0.0.1:")
            answer = httpx.get(f"{said['url']}signin")
            assert answer.status_code == 200 and "server" not in answer.headers
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_without_its_packages_the_command_says_what_to_install(
    pages: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("ringwatch.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = run_command(["--workspace", str(pages.workspace.root), "serve"])
    assert code == 2
    assert said.getvalue() == (
        "ringwatch: The review pages need uvicorn, which is not installed."
        " `make install`, or `pip install 'ringwatch[web]'`.\n"
    )
