"""A MISP event: accounts as `user-account` objects, what they share as objects of our own, the reasons as texts.

The event is for the own organization only, unpublished, and no attribute is marked for detection: a suspicion is no
indicator. Values that act on a screen are spelled out. Ids are made of what they name (UUIDv5), so that the same
cluster gives the same bytes.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pandas as pd

from ringwatch.export.json_format import json_bytes, records
from ringwatch.export.packet import Format, Packet
from ringwatch.export.text import escaped

_OURS = uuid.UUID("5d2c1b0a-90c4-5f0c-8f4b-7c1d0e3a9b62")
_ACCOUNT_TEMPLATE, _ACCOUNT_VERSION = "49606b06-22f0-4ac8-8eee-2f12ad46f3d3", "6"
_ENTITY_TEMPLATE, _ENTITY_VERSION = str(uuid.uuid5(_OURS, "shared-entity")), "1"
_EPOCH = pd.Timestamp(0, tz="UTC")


def _render(packet: Packet) -> dict[str, bytes]:
    heads = packet.clusters
    digests = heads["digest"].tolist()
    moment = heads["last_seen"].max()
    moment = _EPOCH if pd.isna(moment) else moment
    event = _Event(":".join(digests), str(int(moment.timestamp())))
    objects = {row["id"]: event.node(row) for row in records(packet.nodes)}
    for row in records(packet.edges):
        event.tie(objects[row["src"]], objects[row["dst"]], row)
    texts = [event.text(_reason(row), f"reason{number}") for number, row in enumerate(records(packet.evidence))]
    review = packet.review
    if review is not None:
        for number, words in enumerate(review.words):
            said = f"{review.case_id}: {words.what} by {words.author}: {words.text}"
            texts.append(event.text((said, "review"), f"words{number}"))
    names = ", ".join(heads["cluster_id"])
    document = {
        "Event": {
            "uuid": event.name("event"),
            "info": f"Suspected coordinated accounts: cluster {names}",
            "date": moment.strftime("%Y-%m-%d"),
            "timestamp": event.timestamp,
            "threat_level_id": "4",
            "analysis": "2" if review is not None else "0",
            "distribution": "0",
            "published": False,
            "Tag": [{"name": "tlp:amber"}, *({"name": f'ringwatch:digest="{digest}"'} for digest in digests)],
            "Attribute": texts,
            "Object": list(objects.values()),
        }
    }
    return {"clusters.misp.json": json_bytes(document)}


def _reason(row: dict[str, Any]) -> tuple[str, str]:
    side = "counter-evidence" if row["against"] else "evidence"
    return row["text"], f"{row['cluster_id']}, {side}, {row['layer']}, {row['bits']:+.2f} bits"


class _Event:
    """The parts of one event; `seed` is what its ids are made of."""

    def __init__(self, seed: str, timestamp: str) -> None:
        self._seed = seed
        self.timestamp = timestamp

    def name(self, *parts: str) -> str:
        return str(uuid.uuid5(_OURS, json.dumps([self._seed, *parts])))

    def text(self, said: tuple[str, str], name: str) -> dict[str, Any]:
        """An attribute of free text and its comment."""
        value, comment = said
        return self._attribute(name, value, comment=comment)

    def node(self, row: dict[str, Any]) -> dict[str, Any]:
        """An account or an entity as an object."""
        account = row["kind"] == "account"
        values = {"user-id": row["id"]} if account else {"token": row["id"], "kind": row["kind"]}
        comment = f"score {row['score']:.3f}" if account and row["score"] is not None else ""
        return {
            "uuid": self.name("object", row["kind"], row["id"]),
            "name": "user-account" if account else "shared-entity",
            "meta-category": "misc",
            "description": "An account." if account else "An entity that accounts share, as a keyed token.",
            "template_uuid": _ACCOUNT_TEMPLATE if account else _ENTITY_TEMPLATE,
            "template_version": _ACCOUNT_VERSION if account else _ENTITY_VERSION,
            "timestamp": self.timestamp,
            "distribution": "0",
            "comment": comment,
            "Attribute": [
                {**self._attribute(f"{row['kind']}:{row['id']}:{name}", value), "object_relation": name}
                for name, value in values.items()
            ],
            "ObjectReference": [],
        }

    def tie(self, src: dict[str, Any], dst: dict[str, Any], row: dict[str, Any]) -> None:
        """A reference from an object to another."""
        together = row["type"] == "COORDINATED_WITH"
        src["ObjectReference"].append(
            {
                "uuid": self.name("reference", src["uuid"], dst["uuid"], row["type"]),
                "object_uuid": src["uuid"],
                "referenced_uuid": dst["uuid"],
                "relationship_type": "related-to" if together else "uses",
                "comment": f"{row['bits']:+.2f} bits" if together else row["type"],
                "timestamp": self.timestamp,
            }
        )

    def _attribute(self, name: str, value: str, *, comment: str = "") -> dict[str, Any]:
        return {
            "uuid": self.name("attribute", name),
            "type": "text",
            "category": "Other",
            "value": escaped(value),
            "comment": comment,
            "to_ids": False,
            "disable_correlation": True,
            "distribution": "5",
            "timestamp": self.timestamp,
        }


MISP = Format("misp", folder=False, render=_render)
