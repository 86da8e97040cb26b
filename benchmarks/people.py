"""Who reviews in a workspace that is made for a picture, a bench or a test."""

from __future__ import annotations

from collections.abc import Mapping

from ringwatch.review import Role, Signer, enrol, unlock
from ringwatch.workspace import Workspace


def enrol_all(workspace: Workspace, roles: Mapping[str, Role], passphrase: str) -> dict[str, Signer]:
    """Enrols people, the first of whom enrols the others, and signs them in."""
    people: dict[str, Signer] = {}
    for name, role in roles.items():
        enrol(workspace, name, role, passphrase, by=next(iter(people.values()), None))
        people[name] = unlock(workspace, name, passphrase)
    return people
