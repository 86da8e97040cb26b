"""What an account's holder is told: what was done, why in plain words, and how to object. Nothing of the method.

No text names what is shared with whom, a score, another account, or how any of it was found: each holder learns what
was decided of them and what they can do, and an operator learns no more than that.
"""

from __future__ import annotations

import re

from ringwatch.export.text import escaped

_PLAIN = re.compile(r"[a-z][a-z0-9 _-]{0,39}\Z")
_DONE = {
    "limit": ("limited", "You can still sign in. Some features, and how much you can use, are restricted."),
    "suspend": ("suspended", "You cannot use the service with it for now. Nothing of yours was deleted."),
}

APPEAL_DAYS = 30


def reason_code(harm: str | None, harmful: int) -> str:
    """What is said of an account in a word: the category of its own harm, or that it is with others who do harm."""
    if not harmful:
        return "coordinated-abuse/associated"
    return f"coordinated-abuse/{_category(harm) or 'harmful-use'}".replace(" ", "-")


def notice(account: str, action: str, harm: str | None, harmful: int, reference: str) -> str:
    """The text for an account; empty where its holder is told nothing (monitor, refer)."""
    if action not in _DONE:
        return ""
    done, means = _DONE[action]
    category = _category(harm) if harmful else None
    if category:
        what = f"it was used for something that our usage policy does not allow ({category})"
    elif harmful:
        what = "it was used for something that our usage policy does not allow"
    else:
        what = "it was used together with other accounts that broke our usage policy"
    return (
        f"Your account {escaped(account)} has been {done}. {means}\n\n"
        f"Why: after a review we concluded that {what}, as a part of coordinated misuse of the service."
        " Two people looked at it and agreed before anything was done.\n\n"
        f"If we are wrong: answer this message within {APPEAL_DAYS} days and say in your own words who uses the"
        " account and what for. If you use it together with others, at a school, a company or at home for instance,"
        " say so; it helps. Somebody who had no part in the decision will look at"
        " it again, and will tell you what they decided and why. If we were wrong, we restore the account.\n\n"
        f"Reference: {reference}, {reason_code(harm, harmful)}."
    )


def _category(harm: str | None) -> str | None:
    """The category in words, where it is a plain name."""
    name = (harm or "").strip().lower()
    return name.replace("_", " ") if _PLAIN.match(name) else None
