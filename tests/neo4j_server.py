"""A real Neo4j Community server by Java and Maven, no Docker: for the tests, and by hand with `make neo4j`.

The jars of `tests/neo4j/pom.xml` go to `.neo4j/lib` once. The server listens on loopback only and ends with the
process that started it, even one that was killed: it reads its stdin, a pipe from here, to the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "tests" / "neo4j"
CACHE = ROOT / ".neo4j"
USER = "neo4j"
_JAVA = (
    "java", "-Xms256m", "-Xmx1g", "-XX:+UseSerialGC",
    "--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
)  # fmt: skip
_START_SECONDS = 120


class ServerError(Exception):
    """The server cannot be had here; the message says what to install or to look at."""


@dataclass(frozen=True)
class Server:
    """A running server. Its one database is everybody's: see `empty`."""

    uri: str
    password: str
    user: str = USER

    @property
    def env(self) -> dict[str, str]:
        """What `ringwatch` reads from the environment."""
        return {"NEO4J_USER": self.user, "NEO4J_PASSWORD": self.password}

    @property
    def init_arguments(self) -> tuple[str, ...]:
        """What `ringwatch init` takes."""
        return ("--store", "neo4j", "--neo4j-uri", self.uri)

    def driver(self) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(self.uri, auth=(self.user, self.password))

    def empty(self) -> None:
        """Deletes every node and edge. Keys and indexes stay, which a store makes where they are not there: each that
        goes or comes costs all statements their plans, and to plan is most of what small ones take."""
        with self.driver() as driver, driver.session() as session:
            session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()


def jars() -> Path:
    """The folder of the server's jars, fetched when it is not there.

    Raises:
        ServerError: Java or Maven is missing, or Maven fails.
    """
    missing = [name for name, command in (("Java 17", "java"), ("Maven", "mvn")) if shutil.which(command) is None]
    if missing:
        raise ServerError(
            f"needs {' and '.join(missing)} (on Debian: apt-get install openjdk-17-jre-headless maven)"
        )  # fmt: skip
    folder = CACHE / "lib"
    pom = SOURCE / "pom.xml"
    fetched = CACHE / "fetched"
    if not fetched.exists() or fetched.read_bytes() != pom.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerError(f"Maven cannot fetch the server: {' '.join(done.stdout.split())[:500]}")
        fetched.write_bytes(pom.read_bytes())
    return folder


@contextlib.contextmanager
def running(home: Path, *, port: int = 0, password: str = "") -> Iterator[Server]:
    """A server with its data in `home`, on `port` (0: a free one), until the block ends.

    Raises:
        ServerError: there is no Java or Maven, or the server does not start.
    """
    folder = jars()
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    password = password or secrets.token_urlsafe(12)
    log = home / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_JAVA, "-cp", f"{folder}/*", SOURCE / "Server.java", home, str(port)],
            stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        try:
            server = Server(f"bolt://127.0.0.1:{port}", password)
            _wait(server, process, log)
            yield server
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def import_files(home: Path, command: str) -> None:
    """Runs `neo4j-admin COMMAND` on the data of a server that does not run, and has never run, in `home`.

    Raises:
        ServerError: there is no Java or Maven, or the importer refuses the files.
    """
    folder = jars()
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*_JAVA, "-cp", f"{folder}/*", "org.neo4j.cli.AdminTool", *shlex.split(command)],
        env={**os.environ, "NEO4J_HOME": str(home)}, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ServerError(f"the importer failed: {done.stdout[-1000:]} {done.stderr[-1000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for Bolt and sets the password, where it is still that of a new server."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-500:]
            raise ServerError(f"the server did not start; {log} ends with: {tail}")
        try:
            with server.driver() as driver:
                driver.verify_authentication()
                if _accepted(server, server.password):
                    return
            with neo4j.GraphDatabase.driver(server.uri, auth=(USER, USER)) as driver:
                driver.execute_query(
                    f"ALTER CURRENT USER SET PASSWORD FROM '{USER}' TO $new", new=server.password, database_="system"
                )
                return
        except (DriverError, Neo4jError, OSError):
            time.sleep(0.25)


def _accepted(server: Server, password: str) -> bool:
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, password)) as driver:
        try:
            driver.verify_connectivity()
        except Neo4jError:
            return False
        return True


def main() -> int:
    """`make neo4j`: serves on port 7687 (NEO4J_BOLT_PORT), with NEO4J_PASSWORD, until Ctrl-C. Keeps its data."""
    port = int(os.environ.get("NEO4J_BOLT_PORT", "7687"))
    password = os.environ.get("NEO4J_PASSWORD", "")
    if len(password) < 8:
        print("Choose a password of 8 characters or more first: export NEO4J_PASSWORD=…", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        with running(CACHE / "data", port=port, password=password) as server:
            print(f"Neo4j answers at {server.uri} as {server.user}; Ctrl-C ends it.", flush=True)
            while True:
                signal.pause()
    except ServerError as error:
        print(f"No Neo4j: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 0


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
