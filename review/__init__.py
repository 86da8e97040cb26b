"""Clusters and people's decisions come in; cases, a queue and labels go out.

Every decision is signed by a reviewer's key and is a line of the audit log, which is all the state there is.
"""

from __future__ import annotations

from ringwatch.review.cases import Action, Book, Case, Decision, State
from ringwatch.review.ledger import Verified, anonymity_of, load_book, verify
from ringwatch.review.queue import review_queue
from ringwatch.review.reviewers import Reviewer, Role, Signer, unlock
from ringwatch.review.verdicts import publish_verdicts, verdict_labels
from ringwatch.review.workflow import (
    Done,
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

__all__ = [
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
    "decide",
    "enrol",
    "exclude",
    "include",
    "load_book",
    "open_cases",
    "propose",
    "publish_verdicts",
    "record_export",
    "retire",
    "review_queue",
    "standing_cluster",
    "undo",
    "unlock",
    "verdict_labels",
    "verify",
]
