"""A small workspace with a run and four people who review, for the tests of cases and packets."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from drops import make_tables, write_drop
from people import enrol_all

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.graphs import Cluster
from ringwatch.review import Role, Signer
from ringwatch.workspace import Workspace

PASSPHRASE = "correct horse battery"
HOSTILE = '=</script><img src=x onerror="document.title=1">\u202e{{7*7}}&"'
"""Markup, a spreadsheet's formula, a template's, and what turns the direction of writing."""
PEOPLE = {"root": Role.ADMIN, "ann": Role.ANALYST, "bob": Role.REVIEWER, "cyd": Role.REVIEWER, "dee": Role.REVIEWER}


@dataclass(frozen=True)
class Office:
    """A workspace, and who can sign in it."""

    workspace: Workspace
    people: dict[str, Signer]

    @property
    def clusters(self) -> list[str]:
        """Ids of the clusters of the newest run, best first."""
        return list(pipeline.load_run(self.workspace).clusters["cluster_id"])

    def cluster(self, place: int = 0) -> Cluster:
        return pipeline.load_cluster(self.workspace, self.clusters[place])

    def place(self, prefix: str) -> int:
        """The place of the first cluster with an account whose id begins so."""
        members = pipeline.load_run(self.workspace).members
        there = set(members.loc[members["account_id"].str.startswith(prefix), "cluster_id"])
        return next(place for place, name in enumerate(self.clusters) if name in there)

    def copy(self, folder: Path) -> Office:
        """The same in another folder."""
        shutil.copytree(self.workspace.root, folder)
        return Office(Workspace.open(folder), self.people)


def make_office(folder: Path, *, hostile: str = "") -> Office:
    """Ingests a small world, detects in it, and enrols the people. `hostile`: what ids of another ring begin with."""
    workspace = pipeline.create_workspace(folder / "workspace", make_config())
    tables = make_tables(5, loners=30)
    if hostile:
        more = make_tables(6, rings=1, loners=0, prefix=hostile)
        tables = {name: [*rows, *(more[name] if name != "entities" else [])] for name, rows in tables.items()}
    pipeline.ingest_drop(workspace, [write_drop(folder / "drop", tables)])
    pipeline.run_detection(workspace, seed=1)
    return Office(workspace, enrol_all(workspace, PEOPLE, PASSPHRASE))
