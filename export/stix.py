"""STIX 2.1: accounts as `user-account`, a cluster as `grouping`, a reviewed one as `report`, words as `note` and
`opinion`.

Ids are made of what they name (UUIDv5), so that the same cluster gives the same bytes and an account is one object in
every bundle: for `user-account` by the rule of the specification (section 2.9), for the rest from the cluster's
digest. STIX has no object for a card or a device: what an account shares stands in a property extension of its
`user-account`, whose definition is in the bundle.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pandas as pd

from ringwatch.export.json_format import json_bytes, records
from ringwatch.export.packet import Format, Packet, Reviewed
from ringwatch.export.text import escaped

_OBSERVABLES = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # the specification's, for observables
_OURS = uuid.UUID("b8e1b9b4-3f0e-5d57-9f0c-2a6d1f6d7f10")
_ALWAYS = "2026-01-01T00:00:00.000Z"
"""When the objects that no cluster changes came to be."""

_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What an account shares with others of its cluster",
    "type": "object",
    "properties": {
        "extension_type": {"const": "property-extension"},
        "shared": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string"},
                    "token": {"type": "string"},
                    "count": {"type": "integer"},
                    "first_seen": {"type": "string"},
                    "last_seen": {"type": "string"},
                },
                "required": ["kind", "token"],
            },
        },
    },
    "required": ["extension_type", "shared"],
}
_VIEWS = {"approve": "agree", "uphold": "agree", "reject": "disagree", "overturn": "disagree", "return": "neutral"}
"""Decisions that are an opinion of a cluster, and which."""


_READ = ("name", "description", "abstract", "content", "explanation")
"""Properties that people read: what acts on a screen is spelled out there, and left as it is in what identifies."""


def _id(kind: str, *parts: str) -> str:
    return f"{kind}--{uuid.uuid5(_OURS, json.dumps([kind, *parts]))}"


def account_id(user_id: str) -> str:
    """The id of a `user-account` that is known by its `user_id` alone (STIX 2.1, section 2.9)."""
    named = json.dumps({"user_id": user_id}, separators=(",", ":"), ensure_ascii=False)
    return f"user-account--{uuid.uuid5(_OBSERVABLES, named)}"


_AUTHOR = _id("identity", "ringwatch")
_EXTENSION = _id("extension-definition", "shared")


def _moment(value: Any) -> str | None:
    return (
        None if value is None or pd.isna(value) else pd.Timestamp(value).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    )


def _object(kind: str, identity: str, moment: str, **fields: Any) -> dict[str, Any]:
    whole = {
        "type": kind, "spec_version": "2.1", "id": identity, "created_by_ref": _AUTHOR, "created": moment,
        "modified": moment, **fields,
    }  # fmt: skip
    return {name: escaped(value) if name in _READ else value for name, value in whole.items() if value is not None}


def _render(packet: Packet) -> dict[str, bytes]:
    objects = [
        {
            "type": "identity", "spec_version": "2.1", "id": _AUTHOR, "created": _ALWAYS, "modified": _ALWAYS,
            "name": "ringwatch", "identity_class": "system",
        },
        _object(
            "extension-definition", _EXTENSION, _ALWAYS, name="shared entities",
            description="Entities that an account shares, as keyed tokens.", schema=json.dumps(_SCHEMA),
            version="1.0.0", extension_types=["property-extension"],
        ),
        *_accounts(packet),
    ]  # fmt: skip
    for row, (_, head) in zip(records(packet.clusters), packet.clusters.iterrows(), strict=True):
        objects += _cluster(packet, row, _moment(head["last_seen"]) or _ALWAYS)
    digests = packet.clusters["digest"].tolist()
    bundle = {"type": "bundle", "id": _id("bundle", *digests, _stand(packet.review)), "objects": objects}
    return {"clusters.stix.json": json_bytes(bundle)}


def _stand(review: Reviewed | None) -> str:
    return "" if review is None else f"{review.case_id}:{review.state}:{len(review.words)}"


def _accounts(packet: Packet) -> Iterator[dict[str, Any]]:
    uses = packet.edges[packet.edges["type"] != "COORDINATED_WITH"]
    kinds = packet.nodes.set_index("id")["kind"]
    shared: dict[str, list[dict[str, Any]]] = {}
    for row in records(uses):
        one = {
            "kind": kinds[row["dst"]], "token": row["dst"],
            **{name: row[name] for name in ("count", "first_seen", "last_seen") if row[name] is not None},
        }  # fmt: skip
        shared.setdefault(row["src"], []).append(one)
    for name in packet.nodes.loc[packet.nodes["kind"] == "account", "id"]:
        found: dict[str, Any] = {
            "type": "user-account", "spec_version": "2.1", "id": account_id(name), "user_id": name,
        }  # fmt: skip
        if name in shared:
            found["extensions"] = {_EXTENSION: {"extension_type": "property-extension", "shared": shared[name]}}
        yield found


def _cluster(packet: Packet, row: dict[str, Any], moment: str) -> Iterator[dict[str, Any]]:
    name, digest = row["cluster_id"], row["digest"]
    members = packet.nodes.loc[packet.nodes["cluster_id"] == name, "id"].tolist()
    inside, refs = set(members), [account_id(member) for member in members]
    grouping = _id("grouping", digest)
    ties = []
    edges = packet.edges[(packet.edges["type"] == "COORDINATED_WITH") & packet.edges["src"].isin(inside)]
    for edge in records(edges):
        ties.append(
            _object(
                "relationship", _id("relationship", digest, edge["src"], edge["dst"]), moment,
                relationship_type="related-to", source_ref=account_id(edge["src"]),
                target_ref=account_id(edge["dst"]),
                description=f"{edge['bits']:+.1f} bits that one operator has both: {', '.join(edge['layers'])}",
            )
        )  # fmt: skip
    abuse = "unknown" if row["abuse"] is None else f"{row['abuse']:.3f}"
    yield _object(
        "grouping", grouping, moment, name=f"Suspected coordinated accounts {name}",
        description=f"{row['size']} accounts; coordination {row['coordination']:.3f}, abuse {abuse}.",
        context="suspicious-activity", object_refs=[*refs, *(tie["id"] for tie in ties)],
        confidence=round(100 * row["score"]), labels=["coordinated-accounts"],
        external_references=[
            {"source_name": "ringwatch", "external_id": name, "description": f"run {row['run_id']}, digest {digest}"}
        ],
    )  # fmt: skip
    yield from ties
    reasons = packet.evidence[packet.evidence["cluster_id"] == name]
    for number, reason in enumerate(records(reasons)):
        yield _object(
            "note", _id("note", digest, str(number)), moment,
            abstract=f"{reason['layer']}: {reason['bits']:+.1f} bits {'against' if reason['against'] else 'for'}",
            content=reason["text"], object_refs=[grouping],
            labels=["counter-evidence" if reason["against"] else "evidence"],
        )  # fmt: skip
    if packet.review is not None:
        yield from _reviewed(packet.review, name, digest, grouping, refs)


def _reviewed(review: Reviewed, name: str, digest: str, grouping: str, refs: list[str]) -> Iterator[dict[str, Any]]:
    """A reviewed cluster: a report, of the accounts that something is done about, and what people said."""
    moment = _moment(review.words[-1].time) if review.words else _ALWAYS
    report = _id("report", digest, review.case_id)
    acted = {account_id(account) for account in review.actions}
    yield _object(
        "report", report, moment or _ALWAYS, name=f"Reviewed coordinated accounts {name}",
        description=f"{review.case_id}, {review.state}: {len(review.actions)} accounts, {len(review.excluded)} out.",
        report_types=["threat-report"], published=moment or _ALWAYS,
        object_refs=[grouping, *(ref for ref in refs if ref in acted)], labels=[review.state],
    )  # fmt: skip
    for number, words in enumerate(review.words):
        said = _moment(words.time) or _ALWAYS
        if words.what in _VIEWS:
            yield _object(
                "opinion", _id("opinion", digest, review.case_id, str(number)), said, explanation=words.text,
                authors=[words.author], opinion=_VIEWS[words.what], object_refs=[report], labels=[words.what],
            )  # fmt: skip
        else:
            yield _object(
                "note", _id("note", digest, review.case_id, str(number)), said, abstract=words.what,
                content=words.text or words.what, authors=[words.author], object_refs=[report],
            )  # fmt: skip


STIX = Format("stix", folder=False, render=_render)
