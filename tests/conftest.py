"""What all tests share: one real Neo4j server for the session, an empty database for each test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from .neo4j_server import Server, ServerError, running

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Servers of tests do not live long enough for a second compiler to pay.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One server, so all that use it run in one worker; and the tests of a file share what the file makes once.
    for item in items:
        group = "neo4j" if item.get_closest_marker("neo4j") else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish(session: pytest.Session) -> None:
    # A pytest whose ids xdist cannot write the groups into says nothing, and makes everything twice.
    if session.config.getoption("loadgroup", False):
        assert all("@" in item.nodeid for item in session.items), "the groups of tests are lost"


@pytest.fixture(scope="session")
def _neo4j_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        with running(tmp_path_factory.mktemp("neo4j")) as server:
            yield server
    except ServerError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Neo4j {error}")


@pytest.fixture
def neo4j_server(_neo4j_running: Server) -> Server:
    """A server whose database is empty. A test that uses it carries the mark `neo4j`."""
    _neo4j_running.empty()
    return _neo4j_running
