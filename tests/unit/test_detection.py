"""The whole way on small worlds: rings are found whole and first, for reasons that add up, under names that last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ringwatch.config import make_config
from ringwatch.graphs import Cluster, Detection, detect, to_networkx
from ringwatch.graphs.abuse import AUTHORISED
from ringwatch.graphs.clusters import ABUSE_LAYERS, SURELY
from ringwatch.graphs.naming import History
from ringwatch.graphs.schema import EDGES, NODES
from ringwatch.ingest.contract import PROMPTS_LOG, TOKENS_LOG, tables
from ringwatch.metrics import Stopwatch
from ringwatch.signatures import normalise_text, sign_texts

KEY = bytes(range(32))
START = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = [f"w{i}" for i in range(900)]
Rows = list[dict[str, Any]]


class World:
    """Rows of the log, as ingest would have written them."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.rows: dict[str, Rows] = {
            name: [] for name in ("accounts", "events", "links", "relations", "entities", "labels")
        }
        self.texts: dict[int, dict[str, list[int]]] = {}

    def account(self, name: str, day: float, **more: Any) -> None:
        self.rows["accounts"].append({"account_id": name, "created_at": START + timedelta(days=day), **more})

    def text(self, words: int) -> list[str]:
        return list(self.random.choice(WORDS, words))

    def event(self, name: str, day: float, *, text: list[str] | None = None, harm: bool = False, **more: Any) -> None:
        prompt = None
        if text is not None:
            signed = sign_texts(normalise_text(pa.array([" ".join(text)])), KEY)
            prompt = int(signed.ids[0])
            self.texts[prompt] = {"sketch": signed.sketches[0].as_py(), "bag": signed.bags[0].as_py()}
        self.rows["events"].append(
            {
                "ts": START + timedelta(days=day), "account_id": name,
                "kind": "tool_call" if "tool" in more else "chat", "prompt": prompt,
                "harm": "fraud" if harm else None, "harm_score": 0.9 if harm else 0.01,
                "refused": harm, **more,
            }
        )  # fmt: skip

    def loners(self, count: int) -> None:
        for i in range(count):
            self.account(f"loner{i:03d}", float(self.random.uniform(0, 60)))
            for k in range(5):
                self.event(
                    f"loner{i:03d}", 10 + k, text=self.text(14), ip=10_000 + 2 * i + k % 2, device=20_000 + i,
                    payment=30_000 + i if k == 0 else None, harm=bool(self.random.random() < 0.01),
                )  # fmt: skip

    def ring(self, name: str, size: int, *, harm: bool = True, base: int = 100) -> None:
        template = self.text(24)
        for i in range(size):
            self.account(f"{name}{i}", 20 + float(self.random.uniform(0, 1)))
            for k in range(5):
                words = [word if self.random.random() > 0.08 else WORDS[k] for word in template]
                self.event(
                    f"{name}{i}", 22 + k, text=words, ip=base + k % 2, device=base + 10 + i % 3,
                    harm=harm and k % 2 == 1, payment=base + 20 if k == 0 else None,
                )  # fmt: skip

    def connect(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect()
        con.execute("SET TimeZone = 'UTC'")
        logs = {name: table.log for name, table in tables(make_config(entity_types=["wallet"])).items()}
        self.rows["prompts"] = [{"prompt": key, **sets} for key, sets in self.texts.items()]
        codes = {
            (kind, row[kind]) for row in self.rows["events"] for kind in ("ip", "device", "payment") if row.get(kind)
        }
        self.rows["tokens"] = [
            {"entity_type": kind, "entity": code, "token": f"{kind}_token_{code}", "parent": f"net{code // 8}"}
            for kind, code in sorted(codes)
        ]
        for name, columns in {**logs, "prompts": PROMPTS_LOG, "tokens": TOKENS_LOG}.items():
            con.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})")
            if self.rows[name]:
                frame = pa.Table.from_pylist(
                    [{column: row.get(column) for column in columns} for row in self.rows[name]]
                )
                con.register("fresh", frame)
                con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM fresh")
        return con


def _detect(world: World, *, labels: bool = False, previous: History | None = None, seed: int = 1) -> Detection:
    return detect(
        world.connect(), declared=("wallet",), tool_key=KEY, seed=seed, use_labels=labels, previous=previous,
        run_id="r1", created_at=START, as_of=None, watch=Stopwatch(),
    )  # fmt: skip


def _history(found: Detection) -> History:
    members = found.members[["cluster_id", "account_id"]].rename(columns={"cluster_id": "id"})
    return History("r0", pd.concat([members, found.syndicates.members(members)]), found.past)


def _clusters(found: Detection) -> list[set[str]]:
    by_id = found.members.groupby("cluster_id")["account_id"].agg(set)
    return [by_id[name] for name in found.clusters["cluster_id"]]


@pytest.fixture(scope="module")
def world() -> World:
    made = World(1)
    made.loners(60)
    made.ring("ring", 8)
    made.ring("team", 6, harm=False, base=300)
    return made


@pytest.fixture(scope="module")
def found(world: World) -> Detection:
    return _detect(world)


def test_the_ring_is_first_whole_and_alone(found: Detection) -> None:
    clusters = _clusters(found)
    assert clusters[0] == {f"ring{i}" for i in range(8)}
    assert {f"team{i}" for i in range(6)} in clusters
    first = found.clusters.iloc[0]
    assert first["score"] > 0.9
    assert first["abuse"] > 0.9
    assert found.clusters["score"].is_monotonic_decreasing


def test_the_same_team_without_harm_is_coordinated_and_not_abusive(found: Detection) -> None:
    team = found.clusters.iloc[_clusters(found).index({f"team{i}" for i in range(6)})]
    assert team["coordination"] > 0.9
    assert team["abuse"] < 0.3


def test_what_speaks_for_people_is_told_and_lowers_abuse() -> None:
    """Two teams with the same few alarms: people of long standing with cards of their own, and new accounts."""
    made = World(1)
    made.loners(60)
    for number in range(6):
        made.ring(f"ring{number}", 6, base=1000 + 100 * number)
        made.ring(f"team{number}", 6, harm=False, base=3000 + 100 * number)
    people = {f"team{number}{i}" for number in range(6) for i in range(6)} | {f"ring5{i}" for i in range(6)}
    for row in made.rows["accounts"]:
        if row["account_id"] in people:
            row["created_at"] -= timedelta(days=400)
    found = _detect(made)
    told = found.evidence[found.evidence["layer"] == "old_accounts"]
    assert told["against"].all()
    assert (told["bits"] < 0).all()
    clusters = {min(names): found.clusters.iloc[place] for place, names in enumerate(_clusters(found))}
    assert clusters["ring50"]["abuse"] < clusters["ring40"]["abuse"]
    assert set(told["cluster_id"]) == {
        clusters[name]["cluster_id"] for name in ("ring50", *(f"team{k}0" for k in range(6)))
    }
    assert told["text"].str.contains("6 of 6 members have had their accounts for half a year or longer").all()


def test_harm_behind_a_known_company_is_less_surely_abuse_unless_somebody_judged_it() -> None:
    hosted = World(1)
    hosted.loners(60)
    hosted.ring("ring", 8)
    hosted.ring("redteam", 8, base=500)
    hosted.rows["entities"] = [{"entity_type": "ip", "entity": 500 + k, "kind": "company"} for k in (0, 1)]
    found = _detect(hosted)
    red = {f"redteam{i}" for i in range(8)}
    place = _clusters(found).index(red)
    assert place > 0
    assert found.clusters["abuse"].iloc[0] > 0.9
    assert found.clusters["abuse"].iloc[place] == pytest.approx(1 - AUTHORISED, abs=0.02)
    said = found.evidence[found.evidence["cluster_id"] == found.clusters["cluster_id"].iloc[place]]
    assert -SURELY < said.set_index("layer")["bits"]["institution"] < -10, "from near certainty to one in five"
    assert "institution" not in set(
        found.evidence.loc[found.evidence["cluster_id"] == found.clusters["cluster_id"].iloc[0], "layer"]
    )
    hosted.rows["labels"] = [{"account_id": "redteam0", "label": "abusive", "labelled_at": START}]
    judged = _detect(hosted, labels=True)
    assert judged.clusters["abuse"].iloc[_clusters(judged).index(red)] > 0.9


def test_who_tries_all_that_is_forbidden_is_less_surely_abusive_than_who_has_a_purpose() -> None:
    world = World(1)
    world.loners(60)
    world.ring("ring", 8)
    world.ring("redteam", 8, base=500)
    kinds = ["fraud", "malware", "weapons", "spam", "hate"]
    team = [row for row in world.rows["events"] if row["account_id"].startswith("redteam")]
    for at, row in enumerate(team):
        row |= {"harm": kinds[at % len(kinds)], "harm_score": 0.9, "refused": True}
    found = _detect(world)
    place = _clusters(found).index({f"redteam{i}" for i in range(8)})
    assert place > 0
    assert found.clusters["abuse"].iloc[0] > 0.9
    assert found.clusters["abuse"].iloc[place] < 0.6
    told = found.evidence[found.evidence["layer"] == "team"].set_index("cluster_id")["text"]
    assert "its harm is of all categories" in told[found.clusters["cluster_id"].iloc[place]]
    assert "all categories" not in told.get(found.clusters["cluster_id"].iloc[0], "")
    score = found.scores.set_index("account_id")["score"]
    assert score[score.index.str.startswith("redteam")].max() < score[score.index.str.startswith("ring")].min()


def test_a_customers_team_that_came_one_by_one_is_less_surely_abusive_unless_somebody_judged_it() -> None:
    world = World(1)
    world.loners(60)
    world.ring("ring", 8)
    world.ring("staff", 8, base=500)
    world.ring("family", 4, base=700, harm=False)
    team = {f"staff{i}" for i in range(8)}
    came = [row for row in world.rows["accounts"] if row["account_id"].startswith(("staff", "family"))]
    for at, row in enumerate(came):
        row |= {"created_at": START + timedelta(days=7 * (at % 8)), "org_id": row["account_id"][:5]}
    found = _detect(world)
    place = _clusters(found).index(team)
    assert place > 0
    assert found.clusters["abuse"].iloc[0] > 0.9
    assert found.clusters["abuse"].iloc[place] < 0.5
    assert {f"family{i}" for i in range(4)} in _clusters(found), "it is no team: it does no harm"
    told = found.evidence[found.evidence["layer"] == "team"].set_index("cluster_id")
    assert told["bits"].idxmin() == found.clusters["cluster_id"].iloc[place]
    assert told["against"].all()
    world.rows["labels"] = [{"account_id": "staff0", "label": "abusive", "labelled_at": START}]
    judged = _detect(world, labels=True)
    settled = _clusters(judged).index(team)
    assert judged.clusters["abuse"].iloc[settled] > 0.9
    assert judged.clusters["cluster_id"].iloc[settled] not in set(
        judged.evidence.loc[judged.evidence["layer"] == "team", "cluster_id"]
    )


def test_every_account_has_one_score_and_the_ring_the_highest(found: Detection) -> None:
    score = found.scores.set_index("account_id")["score"]
    assert found.accounts == len(score) == 74
    assert score.index.is_unique
    assert score.between(0, 1).all()
    assert score[score.index.str.startswith("ring")].min() > score[~score.index.str.startswith("ring")].max()
    assert found.scores["cluster_id"].notna().sum() == len(found.members)
    assert found.members["account_id"].is_unique


def test_reasons_add_up_and_name_what_is_shared(found: Detection) -> None:
    for row in found.clusters.itertuples():
        said = found.evidence[found.evidence["cluster_id"] == row.cluster_id]
        assert said.loc[~said["layer"].isin(ABUSE_LAYERS), "bits"].sum() == pytest.approx(row.bits, abs=0.02)
        abuse = float(np.clip(float(str(row.abuse)), 1e-6, 1 - 1e-6))
        odds = np.log2(abuse / (1 - abuse))
        near = 0.1 if 1e-4 < abuse < 1 - 1e-4 else 2.0  # it is rounded to 6 digits
        assert said.loc[said["layer"].isin(ABUSE_LAYERS), "bits"].sum() == pytest.approx(odds, abs=near)
        assert (said["against"] == (said["bits"] < 0)).all()
        assert len(said) <= 16
    ring = found.evidence[found.evidence["cluster_id"] == found.clusters["cluster_id"].iloc[0]].set_index("layer")
    assert ring.loc["payment", "entity"] == "payment_token_120"
    assert ring.loc["payment", "text"].startswith(
        "8 accounts share a payment instrument, in 100 % of the linked pairs"
    )
    assert "harmful or refused" in ring.loc["harm", "text"]


def test_the_same_input_gives_the_same_frames(world: World, found: Detection) -> None:
    again = _detect(world)
    for name in ("clusters", "members", "edges", "evidence", "entities", "timeline", "scores"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(again, name))


def test_frames_for_the_store_have_its_columns_and_known_ends(found: Detection) -> None:
    nodes, edges = found.changes.nodes, found.changes.edges
    keys = {label: set(frame[NODES[label].key].to_pylist()) for label, frame in nodes.items()}
    for label, frame in nodes.items():
        assert set(frame.column_names) <= {NODES[label].key, *NODES[label].columns}
        assert len(keys[label]) == len(frame)
    for name, frame in edges.items():
        assert set(frame.column_names) <= {"src", "dst", *EDGES[name].columns}
        assert set(frame["src"].to_pylist()) <= keys[EDGES[name].src]
        assert set(frame["dst"].to_pylist()) <= keys[EDGES[name].dst]
    assert len(edges["SENT"]) == 14
    assert len(edges["IN_CLUSTER"]) == len(found.members)
    assert len(edges["COORDINATED_WITH"]) == len(found.edges)


def test_names_last_while_most_members_stay(world: World, found: Detection) -> None:
    grown = World(1)
    grown.loners(60)
    grown.ring("ring", 10)
    later = _detect(grown, previous=_history(found))
    assert later.clusters["cluster_id"].iloc[0] == found.clusters["cluster_id"].iloc[0]
    assert later.clusters["status"].iloc[0] == "grew"
    assert set(later.past["id"]) == set(found.clusters["cluster_id"]) - set(later.clusters["cluster_id"])
    assert set(found.clusters["status"]) == {"new"}
    assert _detect(grown).clusters["cluster_id"].iloc[0] != found.clusters["cluster_id"].iloc[0]


def test_labels_raise_and_lower_and_are_named(world: World) -> None:
    labelled = World(1)
    labelled.rows["accounts"], labelled.rows["events"] = world.rows["accounts"], world.rows["events"]
    labelled.texts = world.texts
    when = {"labelled_at": START + timedelta(days=40)}
    labelled.rows["labels"] = [
        *({"account_id": f"team{i}", "label": "abusive", **when} for i in range(3)),
        *({"account_id": f"ring{i}", "label": "benign", **when} for i in range(6)),
        {"account_id": "ring0", "label": "abusive", "labelled_at": START},  # an earlier one, withdrawn
    ]
    before, after = _detect(labelled), _detect(labelled, labels=True)
    assert before.used_labels == frozenset()
    assert after.used_labels == {*(f"team{i}" for i in range(3)), *(f"ring{i}" for i in range(6))}
    place = {name: _clusters(after).index({f"{name}{i}" for i in range(n)}) for name, n in (("team", 6), ("ring", 8))}
    assert place["team"] < place["ring"]
    score = [run.scores.set_index("account_id")["score"] for run in (before, after)]
    assert score[1]["team5"] > score[0]["team5"] + 0.3
    assert score[1]["ring7"] < score[0]["ring7"]
    team = after.clusters["cluster_id"].iloc[place["team"]]
    said = after.evidence[(after.evidence["cluster_id"] == team) & (after.evidence["layer"] == "harm")]
    assert "members known as abusive: 3" in said["text"].iloc[0]


def test_without_harm_and_labels_abuse_is_null_and_the_score_is_coordination() -> None:
    blind = World(2)
    blind.loners(40)
    blind.ring("ring", 7)
    for row in blind.rows["events"]:
        row |= {"harm": None, "harm_score": None, "refused": None}
    found = _detect(blind)
    assert found.clusters["abuse"].isna().all()
    assert found.clusters["score"].tolist() == found.clusters["coordination"].tolist()
    assert _clusters(found)[0] == {f"ring{i}" for i in range(7)}
    blind.rows["labels"] = [{"account_id": "ring0", "label": "abusive", "labelled_at": START}]
    assert _detect(blind, labels=True).clusters["abuse"].iloc[0] > 0.3


def test_a_chain_of_which_each_shares_with_the_next_alone_is_found() -> None:
    made = World(3)
    made.loners(300)
    for i in range(9):
        made.account(f"link{i}", 20 + i / 4)
        for k, (column, code) in enumerate(
            (("device", 500 + (i + 1) // 2), ("payment", 600 + i // 2), ("ip", 700 + i))
        ):
            made.event(f"link{i}", 21 + k, text=made.text(12), harm=True, **{column: code})
    chain = {f"link{i}" for i in range(9)}
    assert max(len(chain & cluster) for cluster in _clusters(_detect(made))) >= 8


def test_a_farm_that_shares_nothing_but_prompts_is_found_and_a_viral_prompt_is_worth_nothing() -> None:
    made = World(4)
    made.loners(300)
    viral, template = made.text(16), made.text(20)
    for i in range(300):
        made.event(f"loner{i:03d}", 30, text=viral)
    for i in range(10):
        made.account(f"farm{i}", 20 + i / 20)
        for k in range(4):
            made.event(
                f"farm{i}", 21 + k, text=[w if made.random.random() > 0.08 else WORDS[k] for w in template],
                harm=True, ip=40_000 + 10 * i + k, device=50_000 + i,
            )  # fmt: skip
        made.event(f"farm{i}", 30, text=viral)
    found = _detect(made)
    assert _clusters(found)[0] == {f"farm{i}" for i in range(10)}
    assert not any(name.startswith("loner") for name in found.members["account_id"])


def test_agents_that_run_one_tool_chain_are_found() -> None:
    made = World(5)
    made.loners(200)
    tools = ["search", "fetch", "shell", "mail", "write"]
    for i in range(9):
        made.account(f"bot{i}", 20 + i / 20)
        for session in range(2):
            for step, tool in enumerate(tools):
                made.event(
                    f"bot{i}", 21 + session + step / 1440, tool=tool, tool_shape=step + 1, session=1000 * i + session,
                    ip=40_000 + i, device=50_000 + i, harm=step == 4,
                )  # fmt: skip
    found = _detect(made)
    assert _clusters(found)[0] == {f"bot{i}" for i in range(9)}
    (chain,) = found.changes.nodes["ToolChain"].to_pylist()
    assert (chain["accounts"], chain["tools"]) == (9, " > ".join(tools))


def test_declared_entities_and_relations_tie_accounts() -> None:
    made = World(6)
    made.loners(300)
    for i in range(6):
        made.account(f"tied{i}", 20 + i / 50)
        made.rows["links"].append({"account_id": f"tied{i}", "entity_type": "wallet", "entity": 77})
        if i:
            made.rows["relations"].append(
                {"src_account_id": "tied0", "dst_account_id": f"tied{i}", "kind": "referral"}
            )
    found = _detect(made)
    assert {f"tied{i}" for i in range(6)} in _clusters(found)
    said = found.evidence.set_index("layer")
    assert said.loc["wallet", "entity"] == f"wallet_{77:016x}"
    assert said.loc["referral_source", "entity"] == "tied0"
    assert said.loc["referral", "entity"] == "tied0"


def test_an_empty_log_and_accounts_without_events() -> None:
    nothing = _detect(World(7))
    assert (nothing.accounts, len(nothing.clusters), len(nothing.scores)) == (0, 0, 0)
    few = World(7)
    few.account("a", 0)
    few.account("b", 1)
    assert _detect(few).scores["score"].tolist() == [0.0, 0.0]


def test_a_cluster_as_a_networkx_graph(found: Detection) -> None:
    row = found.clusters.iloc[0]
    frames = {name: getattr(found, name) for name in ("members", "edges", "entities")}
    of = {name: frame[frame["cluster_id"] == row["cluster_id"]] for name, frame in frames.items()}
    none = found.evidence.iloc[:0]
    cluster = Cluster(
        **{name: row[name] for name in (
            "cluster_id", "digest", "size", "score", "bits", "coordination", "abuse", "layers", "first_seen",
            "last_seen", "status",
        )},
        run_id="r1", members=of["members"], edges=of["edges"], evidence=none, counter_evidence=none,
        entities=of["entities"], timeline=found.timeline,
    )  # fmt: skip
    graph = to_networkx(cluster)
    assert nx.is_connected(graph)
    kinds = pd.Series([kind for _, kind in graph.nodes(data="kind")]).value_counts()
    assert kinds["account"] == 8
    assert kinds["payment"] == 1
    assert {graph.edges[edge]["count"] for edge in graph.edges("payment_token_120")} == {1}


def _customer(made: World, ring: str, org_id: str) -> None:
    for row in made.rows["accounts"]:
        if row["account_id"].startswith(ring):
            row["org_id"] = org_id


def _only(found: Detection) -> dict[str, Any]:
    """The one organization of a run."""
    (one,) = found.syndicates.organizations.to_dict("records")
    return {str(name): value for name, value in one.items()}


def test_a_cluster_that_is_a_customer_is_an_organization_of_one_part() -> None:
    made = World(1)
    made.loners(60)
    made.ring("ring", 8)
    made.ring("team", 6, harm=False, base=300)
    _customer(made, "ring", "o-ring")
    made.account("idle", 3, org_id="o-ring")
    for i in range(20):
        made.account(f"staff{i}", 30.0 * i, org_id="o-team")
    _customer(made, "team", "o-team")
    found = _detect(made)
    one = _only(found)
    assert one["clusters"] == [found.clusters["cluster_id"].iloc[0]], "a team in a larger company is not the company"
    assert (one["accounts"], one["outsiders"]) == (8, 1)
    assert one["score"] == pytest.approx(one["coordination"] * found.clusters["score"].iloc[0], abs=1e-5)
    exact = np.log2(4 * 9 * 10 * 11 / (10 * 11 * 12)) + np.log2(4 * 9 * 10 * 11 / (11 * 12 * 13))
    assert one["bits"] == pytest.approx(exact, abs=2e-3)
    assert found.syndicates.outsiders[["account_id", "layer", "entity"]].to_numpy().tolist() == [
        ["idle", "organization", "o-ring"]
    ]
    assert found.syndicates.parts["customer"].tolist() == ["o-ring"]
    assert found.changes.edges["PART_OF"].to_pylist() == [{"src": one["clusters"][0], "dst": one["organization_id"]}]


def test_a_customer_whose_people_sit_at_a_known_company_is_that_company_unless_somebody_judged_it() -> None:
    made = World(1)
    made.loners(60)
    made.ring("ring", 8)
    _customer(made, "ring", "o-ring")
    for row in made.rows["events"]:
        if row["account_id"].startswith("ring") and row["ip"] == 101:
            row["ip"] = 10_900 + int(row["account_id"][4:])
    made.rows["entities"] = [{"entity_type": "ip", "entity": 100, "kind": "company"}]
    one = _only(_detect(made))
    assert one["abuse"] == pytest.approx(1 - AUTHORISED)
    assert one["score"] <= one["abuse"]
    said = _detect(made).syndicates.grounds.set_index("layer")
    assert said.loc["institution", "bits"] == pytest.approx(np.log2(1 - AUTHORISED), abs=1e-3)
    assert str(said.loc["institution", "text"]).startswith("100% of its accounts")
    made.rows["labels"] = [{"account_id": "ring0", "label": "abusive", "labelled_at": START}]
    judged = _only(_detect(made, labels=True))
    assert judged["abuse"] > 0.9


def test_clusters_tied_one_to_the_next_are_one_organization_and_each_is_a_part_once() -> None:
    made = World(9)
    made.loners(400)
    for number, name in enumerate(("red", "green", "blue")):
        made.ring(name, 6, harm=number == 0, base=100 + 100 * number)
        for row in made.rows["accounts"]:
            if row["account_id"].startswith(name):
                row["created_at"] += timedelta(days=90 * number)
    for first, second, card in (("red0", "green0", 7), ("green1", "blue1", 8)):
        for name in (first, second):
            for k in range(2):
                made.event(name, 31 + k, payment=card)
    found = _detect(made)
    rings = [{f"{name}{i}" for i in range(6)} for name in ("red", "green", "blue")]
    assert all(ring in _clusters(found) for ring in rings), "one card of one member makes no one cluster of two"
    one = _only(found)
    assert {found.clusters["cluster_id"].iloc[_clusters(found).index(ring)] for ring in rings} == set(one["clusters"])
    assert one["clusters"][0] == found.clusters["cluster_id"].iloc[0], "what does harm comes first"
    assert len(found.syndicates.ties) == 2
    assert found.syndicates.parts["cluster_id"].is_unique
    assert found.syndicates.parts["harmful"].tolist()[1:] == [0, 0]
    told = found.syndicates.grounds
    assert told.loc[told["layer"] != "institution", "bits"].sum() == pytest.approx(one["bits"], abs=0.02)
    assert (
        told["text"]
        .iloc[0]
        .startswith("2 of 2 pairs of parts share a payment instrument, the rarest with nobody else")
    )
