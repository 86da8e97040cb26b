"""Clusters and people's decisions come in; cases, a queue and labels go out.

Every decision is signed by a reviewer's key and is a line of the audit log, which is all the state there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.review.cases import (
        Action,
        Book,
        Case,
        Decision,
        State,
        choices,
        deed,
        history,
        may_follow,
        may_propose,
        undoable,
    )
    from ringwatch.review.ledger import Verified, anonymity_of, load_book, sign_in, verify
    from ringwatch.review.queue import NEW, matching, narrow, review_queue
    from ringwatch.review.reviewers import Reviewer, Role, Signer, unlock
    from ringwatch.review.similar import similar_clusters
    from ringwatch.review.verdicts import publish_verdicts, verdict_labels
    from ringwatch.review.workflow import (
        Done,
        current_cluster,
        decide,
        enrol,
        exclude,
        include,
        open_cases,
        propose,
        record_export,
        retire,
        standing_cluster,
        undo,
    )
else:
    __getattr__ = door(__name__)

__all__ = [
    "NEW",
    "Action",
    "Book",
    "Case",
    "Decision",
    "Done",
    "Reviewer",
    "Role",
    "Signer",
    "State",
    "Verified",
    "anonymity_of",
    "choices",
    "current_cluster",
    "decide",
    "deed",
    "enrol",
    "exclude",
    "history",
    "include",
    "load_book",
    "matching",
    "may_follow",
    "may_propose",
    "narrow",
    "open_cases",
    "propose",
    "publish_verdicts",
    "record_export",
    "retire",
    "review_queue",
    "sign_in",
    "similar_clusters",
    "standing_cluster",
    "undo",
    "undoable",
    "unlock",
    "verdict_labels",
    "verify",
]
