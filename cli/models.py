"""`train`, `models`: learn from labels, and say which model `detect` uses."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.review import catch_up
from ringwatch.cli.session import Session, Wait, command
from ringwatch.errors import UsageError

if TYPE_CHECKING:
    from ringwatch.gnn import Card

Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: the GPU where there is one.")]
Models = Annotated[str | None, typer.Option(help="Only these, like logistic,graph-trees,metapath.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    command(app, "train")(_train)
    models = typer.Typer(no_args_is_help=True, help="What `train` learnt.")
    app.add_typer(models, name="models")
    command(models, "list")(_list)
    command(models, "show")(_show)
    command(models, "promote")(_promote)


def names_of(models: str | None) -> list[str] | None:
    """The names in a list with commas.

    Raises:
        UsageError: there is none in it.
    """
    if models is None:
        return None
    names = [name.strip() for name in models.split(",") if name.strip()]
    if not names:
        raise UsageError("--models names no model.", hint="Leave it out, or name some with commas between.")
    return names


def _train(
    session: Session,
    as_of: Annotated[str | None, typer.Option(help="What was known then, like 2026-03-31T00:00:00Z.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same model.", min=0)] = 0,
    models: Models = None,
    device: Device = "cpu",
    wait: Wait = 10.0,
) -> None:
    """Learn from the labels in the store, beside baselines; calibrate; register; promote where it is better."""
    from ringwatch.clock import parse_time
    from ringwatch.gnn.models.torch_here import pick_device
    from ringwatch.pipeline import train_model

    moment = parse_time(as_of) if as_of is not None else None
    workspace = session.workspace()
    catch_up(workspace, wait)
    report = train_model(
        workspace, as_of=moment, seed=seed, models=names_of(models), device=pick_device(device), wait=wait,
        watch=session.watch(),
    )  # fmt: skip

    def show() -> None:
        card = report.card
        _metrics(session, card)
        session.line()
        promoted = "promoted" if report.promoted else "not promoted"
        session.line(
            f"Model {card.model_id} ({card.winner}), {promoted}: {report.why}. {_learnt_from(card)}; "
            f"{card.seconds:.1f} s."
        )
        session.line("Use it: `ringwatch detect`.")

    session.say("train", report.document(), show)


def _learnt_from(card: Card) -> str:
    said = card.labels
    return f"{said['abusive']:,} abusive and {said['benign']:,} benign labels of {said['operations']:,} operations"


def _metrics(session: Session, card: Card) -> None:
    names = ("AUPRC", "recall at k", "ECE")
    rows = []
    for name, values in card.metrics.items():
        figures = [number(values[key]) if key in values else "" for key in ("auprc", "recall_at_k", "ece")]
        rows.append((f"{name} *" if name == card.winner else name, *figures))
    session.table(("held out by operation", *names), rows, right=names)


def _list(session: Session) -> None:
    """List models, newest first."""
    from ringwatch.pipeline import list_models

    workspace = session.workspace()
    cards, promoted = list_models(workspace), workspace.current().promoted
    document = {
        "models": [
            {
                "model_id": card.model_id, "promoted": card.model_id == promoted, "winner": card.winner,
                "metrics": card.metrics[card.winner], "labels": card.labels, "as_of": card.as_of,
                "created_at": card.created_at,
            }
            for card in cards
        ]
    }  # fmt: skip

    def show() -> None:
        if not cards:
            session.line("No model yet: `ringwatch train`.")
            return
        rows = [
            (
                card.model_id, "yes" if card.model_id == promoted else "", card.winner,
                number(card.metrics[card.winner]["auprc"]), card.labels["abusive"], card.labels["benign"],
                card.created_at[:10],
            )
            for card in cards
        ]  # fmt: skip
        session.table(
            ("model", "in use", "winner", "AUPRC", "abusive", "benign", "trained"), rows,
            right=("AUPRC", "abusive", "benign"),
        )  # fmt: skip

    session.say("models", document, show)


def _show(
    session: Session, model: Annotated[str | None, typer.Argument(help="Id of the model; the one in use.")] = None
) -> None:
    """Show the card of a model: its parts, how good all candidates were, thresholds, reliability."""
    from ringwatch.gnn import read_card
    from ringwatch.pipeline import find_model

    workspace = session.workspace()
    card = read_card(workspace.models_dir / find_model(workspace, model))
    document: dict[str, Any] = {**asdict(card), "promoted": workspace.current().promoted == card.model_id}

    def show() -> None:
        parts = ", ".join(f"{name} {share:.2f}" for name, share in card.shares.items())
        session.line(f"Model {card.model_id}: {card.winner} ({parts}).", style="bold")
        session.line(
            f"{card.accounts:,} accounts, {card.features} features, {len(card.relations)} relations; "
            f"{_learnt_from(card)}; {card.prior:.2%} of the unlabelled are taken to be abusive."
        )
        session.line()
        _metrics(session, card)
        session.line()
        rows = [
            (one["kind"], f"{one['wish']:g}", f"{one['at']:.4f}", one["accounts"], f"{one['abusive']:.0f}",
             f"{one['found']:.2f}")
            for one in card.thresholds
        ]  # fmt: skip
        columns = ("threshold by", "wish", "probability", "accounts", "abusive", "found")
        session.table(columns, rows, right=columns[1:])
        session.line()
        bins = [
            (f"{one['low']:.1f}", one["accounts"], number(one["claimed"]), number(one["right"]))
            for one in card.reliability
            if one["accounts"]
        ]
        session.table(("from", "accounts", "claimed", "right"), bins, right=("from", "accounts", "claimed", "right"))
        session.line()
        session.line(card.intended)
        for limit in card.limits:
            session.line(f"  – {limit}")

    session.say("model", document, show)


def _promote(
    session: Session, model: Annotated[str, typer.Argument(help="Id of the model.")], wait: Wait = 10.0
) -> None:
    """Let `detect` use a model from now on."""
    from ringwatch.pipeline import promote_model

    card = promote_model(session.workspace(), model, wait=wait)
    session.say(
        "promoted", {"model_id": card.model_id, "promoted": True},
        lambda: session.line(f"`detect` uses {card.model_id} from now on."),
    )  # fmt: skip
