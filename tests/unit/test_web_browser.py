"""The way of a case in a browser, by mouse and by keys alone; what screen readers are told; a page of 2,000 members.

Pictures of the pages are left in the folder that RINGWATCH_PICTURES names.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import make_crowded, size_of
from people import enrol_all
from serving import serving

from ringwatch.review import (
    Action,
    Decision,
    Role,
    State,
    decide,
    load_book,
    open_cases,
    propose,
    verify,
)

from ..browser import browser
from .reviewing import HOSTILE, PASSPHRASE, Office

pytestmark = pytest.mark.xdist_group("web")

_SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@contextmanager
def _page(chromium: Any, url: str, *, scheme: str = "light", width: int = 1280) -> Iterator[Any]:
    """A page that must not ask elsewhere, nor break its own policy."""
    context = chromium.new_context(
        base_url=url, color_scheme=scheme, viewport={"width": width, "height": 900}, accept_downloads=True
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.extend([] if request.url.startswith((url, "blob:")) else [request.url]))
    page.on("console", lambda said: wrong.extend([said.text] if "Security Policy" in said.text else []))
    yield page
    assert wrong == []
    context.close()


def _sign_in(page: Any, name: str) -> None:
    page.goto("/queue")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Passphrase").fill(PASSPHRASE)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/queue")


def _picture(page: Any, name: str) -> None:
    folder = os.environ.get("RINGWATCH_PICTURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_case_goes_its_way_in_a_browser(chromium: Any, pages: Office) -> None:
    member = next(name for name in pages.cluster().members["account_id"] if not name.startswith(HOSTILE))
    with serving(pages.workspace.root) as url, _page(chromium, url) as page:
        _sign_in(page, "bob")
        _picture(page, "queue")
        page.locator("table.queue tbody a").first.click()
        page.wait_for_selector("canvas[data-drawn]")
        assert int(page.get_attribute("canvas", "data-drawn")) >= pages.cluster().size
        _picture(page, "cluster")
        prompt = page.locator(".exemplars li").first
        prompt.get_by_text("Show an exemplar").click()
        prompt.get_by_placeholder("Why you need to see it").fill("is it a template?")
        prompt.get_by_role("button", name="Show").click()
        prompt.locator(".original", has_text="markword").wait_for()
        row = page.locator("#member-rows tbody tr").filter(has=page.get_by_text(member, exact=True))
        row.scroll_into_view_if_needed()
        row.get_by_label("Leave out").check()
        row.get_by_label("Why left out").fill("a school")
        page.get_by_text("1 left out").wait_for()
        form = page.locator("#propose")
        form.get_by_label("limit").check()
        form.get_by_label("Reason").fill("one purse")
        form.get_by_label("Passphrase of bob").fill("wrong horse battery")
        form.get_by_role("button").click()
        form.get_by_text("The name or the passphrase is wrong.").wait_for()
        assert form.get_by_label("Reason").input_value() == "one purse", "nothing that was typed is lost"
        form.get_by_label("Passphrase of bob").fill(PASSPHRASE)
        form.get_by_role("button").click()
        page.wait_for_url("**/cases/case-1**")
        page.get_by_text("bob proposed case-1 and cannot decide on it.").wait_for()
        _picture(page, "proposed")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/signin")

        _sign_in(page, "cyd")
        page.get_by_role("link", name="case-1").click()
        _decide(page, "cyd", "approve", "agreed", "approved")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the packet").click()
        with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
            accounts = list(csv.DictReader(io.StringIO(archive.read("case-1/accounts.csv").decode())))
            assert {row["action"] for row in accounts} == {"limit"}
            assert member not in {row["account_id"] for row in accounts}
            assert json.loads(archive.read("case-1/manifest.json"))["approved_by"] == "cyd"
        page.locator("h2", has_text="case-1 is exported").wait_for()
        _decide(page, "cyd", "apply", "ticket 81", "applied")
        _decide(page, "cyd", "reverse", "a school, all of it", "reversed")
        _picture(page, "reversed")
        page.goto("/audit")
        page.get_by_text("The chain holds.").wait_for()
        _picture(page, "audit")
    case = load_book(pages.workspace).case("case-1")
    assert (case.state, case.proposer, case.approver, case.excluded) == (
        State.REVERSED,
        "bob",
        "cyd",
        {member: "a school"},
    )
    assert verify(pages.workspace).cases == 1


def _decide(page: Any, who: str, decision: str, reason: str, state: str) -> None:
    form = page.locator("#decide")
    form.get_by_label(decision, exact=True).check()
    form.get_by_label("Reason").fill(reason)
    form.get_by_label(f"Passphrase of {who}").fill(PASSPHRASE)
    form.get_by_role("button", name="Sign the decision").click()
    page.locator("h2", has_text=f"case-1 is {state}").wait_for()


def test_a_case_goes_its_way_by_keys_alone(chromium: Any, pages: Office) -> None:
    members = sorted(pages.cluster().members["account_id"])
    with serving(pages.workspace.root) as url, _page(chromium, url) as page:
        press, type_ = page.keyboard.press, page.keyboard.type
        page.goto("/queue")
        type_("ann")  # the name has the focus
        press("Tab")
        type_(PASSPHRASE)
        press("Enter")
        page.wait_for_url("**/queue")
        press("?")
        page.wait_for_selector("#help[open]")
        _picture(page, "keys")
        press("Escape")
        press("j")
        press("Enter")
        page.wait_for_selector("canvas[data-drawn]")
        press("m")
        press("j")
        press("1")
        press("j")
        press("x")
        type_("a school")
        press("Escape")
        press("d")
        press("ArrowLeft")
        press("Tab")
        type_("one purse")
        press("Tab")
        type_(PASSPHRASE)
        press("Enter")
        page.wait_for_url("**/cases/case-1**")
        case = load_book(pages.workspace).case("case-1")
        assert list(case.excluded.values()) == ["a school"]
        assert sorted(case.actions.values()) == ["limit"] * (len(members) - 2) + ["monitor"]
        press("g")
        press("a")
        page.wait_for_url("**/audit")
        press("g")
        press("q")
        page.wait_for_url("**/queue")
        for _ in range(2):  # those that have no case yet, in one job
            press("j")
        press("x")
        press("j")
        press("x")
        page.get_by_text("With the 2 chosen").wait_for()
        _picture(page, "several")
        press("d")
        press("Space")
        press("Tab")
        type_("both of one trade")
        press("Tab")
        type_(PASSPHRASE)
        press("Enter")
        page.get_by_text("2 cases are open.").wait_for()
        press("/")
        type_("no such thing")
        press("Enter")
        page.get_by_text("Nothing waits").wait_for()
        page.once("dialog", lambda dialog: dialog.accept("Nothing there"))
        page.get_by_role("button", name="Save this view").click()
        page.goto("/queue")
        page.locator("#view").select_option("Nothing there")
        page.get_by_text("Nothing waits").wait_for()
        # Who needs none of these keys, as with speech, switches them off.
        page.get_by_role("button", name="Keys").click()
        page.get_by_label("Keys of one letter work").uncheck()
        press("Escape")
        press("g")
        press("a")
        assert page.url.split("?")[0].endswith("/queue")


def test_screen_readers_are_told_everything(chromium: Any, pages: Office) -> None:
    workspace, people = pages.workspace, pages.people
    cases = open_cases(workspace, people["ann"], pages.clusters).cases
    for case in cases[:2]:
        propose(workspace, people["ann"], [case.case_id], action=Action.SUSPEND, reason="one purse")
    decide(workspace, people["bob"], [cases[1].case_id], Decision.APPROVE, reason="agreed")
    for scheme in ("light", "dark"):
        with serving(workspace.root) as url, _page(chromium, url, scheme=scheme) as page:
            page.goto("/signin")
            _no_violations(page, f"signin {scheme}")
            _sign_in(page, "bob")
            member = f"/accounts/{quote(min(cases[0].members), safe='')}"
            for place in (
                "/queue",
                *(f"/cases/{case.case_id}" for case in cases),
                member,
                "/audit",
                "/cases/case-99",
            ):
                page.goto(place)
                for fold in page.locator("main details").all():
                    fold.evaluate("one => { one.open = true; }")
                if "case-99" not in place and place != "/audit":
                    page.wait_for_selector("html[data-ready]", state="attached")
                if place == "/queue":
                    page.get_by_label("Choose case-1", exact=True).check()
                _no_violations(page, f"{place} {scheme}")
            page.goto("/queue")
            page.keyboard.press("?")
            _no_violations(page, f"keys {scheme}")
        with serving(workspace.root) as url, _page(chromium, url, scheme=scheme, width=390) as page:
            _sign_in(page, "bob")
            for place in ("/queue", f"/cases/{cases[0].case_id}", member, "/audit"):
                page.goto(place)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= 390, f"{place} is {wide} wide"
                _picture(page, f"narrow-{place.split('/')[1]}-{scheme}")


def _no_violations(page: Any, where: str) -> None:
    found = Axe().run(page)
    bad = [
        (one["id"], node["html"][:160])
        for one in found.response["violations"]
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]
    assert bad == [], where


def test_a_page_of_two_thousand_members_is_small_and_works(chromium: Any, tmp_path: Path) -> None:
    workspace, cluster = make_crowded(tmp_path, 2000)
    enrol_all(workspace, {"root": Role.ADMIN, "ann": Role.ANALYST}, PASSPHRASE)
    with serving(workspace.root) as url, _page(chromium, url) as page:
        _sign_in(page, "ann")
        page.goto(f"/clusters/{cluster}")
        page.wait_for_selector("canvas[data-drawn]")
        rows = page.locator("#member-rows tbody tr")
        assert rows.count() >= 1900
        assert size_of(page) <= 1.5e6
        page.locator("#layers button").first.click()
        _picture(page, "crowd")
        # The last member is set like the first, though its controls are made when it is come to.
        last = rows.last
        name = last.locator("th").text_content().strip()  # it may not be laid out yet
        page.get_by_placeholder("Account, harm, status or reason").fill(name)
        page.get_by_text(f"1 of {rows.count()}").wait_for()
        last.get_by_label("Action").select_option("monitor")
        form = page.locator("#propose")
        form.get_by_label("Reason").fill("one purse")
        form.get_by_label("Passphrase of ann").fill(PASSPHRASE)
        form.get_by_role("button").click()
        page.wait_for_url("**/cases/case-1**")
    case = load_book(workspace).case("case-1")
    assert case.actions[name] == "monitor" and list(case.actions.values()).count("suspend") == len(case.members) - 1
