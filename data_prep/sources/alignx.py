"""AlignX: which of two responses a user prefers, with what is known of the user.

Licence: none is stated in the set's repository; look at its card before handing anything on. Most texts are Reddit
posts and comments.
Citation: Li et al., "From 1,000,000 Users to Every User: Scaling Up Personalized Preference for User-level Alignment",
arXiv 2503.15463, 2025.
Schema (hub id ``JinaLeejnl/AlignX``, 1,311,622 rows): ``prompt``, ``chosen``, ``rejected``, ``Preference Direction``
(90 values of 0, 0.5 or 1; not used), ``Demographic Information`` (a text), ``User-Generated Content`` [{``prompt``,
``comment``, ``Preference Direction``}], ``Pair-wise Comparative Feedback`` [{``prompt``, ``chosen``, ``rejected``,
``Preference Direction``}]. Lists may be short or empty.

``chosen`` and ``rejected`` become options A and B in a seeded order. The persona is the user's demographics, own
comments and earlier choices, each bounded in number and length; an entry that shares the question's prompt or holds
one of its responses is left out, as it would tell the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from personadual import schema
from personadual.data_prep.items import PREFERENCE
from personadual.data_prep.options import in_seeded_order
from personadual.data_prep.record import Record, Rejected, Where
from personadual.data_prep.sources.base import About
from personadual.data_prep.sources.fields import entries, id_of, shortened, text
from personadual.modes import PERSONALIZED
from personadual.reward_fns.graders import ALIGNX

DEMOGRAPHICS, COMMENTS = "Demographic Information", "User-Generated Content"
CHOICES = "Pair-wise Comparative Feedback"

ASKED = "Which of these two responses would I prefer?"
COMMENTS_LEAD, CHOICES_LEAD = "Comments by this user:", "Responses that this user preferred:"

EMPTY_RESPONSE = "empty response"
SAME_RESPONSES = "chosen and rejected are the same"
NO_PROFILE = "nothing is known of the user"


@dataclass(frozen=True)
class ProfileLimits:
    """Characters of the demographics, comments and choices at most, and characters of each post and response."""

    demographics: int = 1000
    comments: int = 2
    choices: int = 2
    post: int = 160
    response: int = 280


class AlignX:
    about = About(
        name="alignx",
        licence="not stated",
        citation="Li et al., From 1,000,000 Users to Every User, arXiv 2503.15463, 2025",
        homepage="https://huggingface.co/datasets/JinaLeejnl/AlignX",
        hub_id="JinaLeejnl/AlignX",
        redistributable=False,
    )

    def __init__(self, limits: ProfileLimits | None = None):
        self.limits = limits or ProfileLimits()

    def record(self, row: Mapping[str, Any], where: Where, seed: int) -> Record:
        """The row as an A/B question with its own persona. Raises Rejected.

        Two users who were shown the same responses are asked the same question, in the same order of options.
        """
        prompt = text(row, "prompt")
        chosen = text(row, "chosen", may_be_empty=True)
        rejected = text(row, "rejected", may_be_empty=True)
        if not chosen or not rejected:
            raise Rejected(EMPTY_RESPONSE, field="rejected" if chosen else "chosen")
        if chosen.split() == rejected.split():
            raise Rejected(SAME_RESPONSES, field="chosen")
        persona = self.persona(row)
        if not persona:
            raise Rejected(NO_PROFILE, field=DEMOGRAPHICS)
        question_id = f"{ALIGNX}:{id_of(prompt, *sorted((chosen, rejected)))}"
        options, answer = in_seeded_order(chosen, rejected, seed, question_id)
        return Record(
            question_id=question_id,
            question=f"{prompt}\n\n{ASKED}",
            answer=answer,
            data_source=ALIGNX,
            licence=self.about.licence,
            source=self.about.hub_id or self.about.name,
            options=options,
            persona=persona,
            condition=schema.PERSONAL,
            right_mode=PERSONALIZED.name,
            ability=PREFERENCE,
            where=where,
        )

    def persona(self, row: Mapping[str, Any]) -> str:
        """What the row says of its user, within the limits; "" where that is nothing."""
        limits = self.limits
        demographics = text(row, DEMOGRAPHICS, may_be_empty=True) if DEMOGRAPHICS in row else ""
        comments = islice(_shown(row, COMMENTS, ("prompt", "comment")), limits.comments)
        choices = islice(_shown(row, CHOICES, ("prompt", "chosen", "rejected")), limits.choices)
        lines = [shortened(demographics, limits.demographics)] if demographics else []
        for lead, kind in ((COMMENTS_LEAD, comments), (CHOICES_LEAD, choices)):
            written = [self._entry(*entry) for entry in kind]
            lines += [lead, *written] if written else []
        return "\n".join(lines)

    def _entry(self, post: str, response: str, other: str = "") -> str:
        told = f'- On "{shortened(post, self.limits.post)}": "{shortened(response, self.limits.response)}"'
        return told + (f' rather than "{shortened(other, self.limits.response)}"' if other else "")


def _shown(row: Mapping[str, Any], field: str, parts: tuple[str, ...]) -> Iterator[list[str]]:
    """The texts of each entry that has all of them and none of the question's own."""
    own = {text(row, part, may_be_empty=True) for part in ("prompt", "chosen", "rejected")}
    for entry in entries(row, field):
        texts = [text(entry, part, may_be_empty=True) for part in parts]
        if all(texts) and own.isdisjoint(texts):
            yield texts
