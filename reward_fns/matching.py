"""Whether an answer is the right one, with or without known options."""

from __future__ import annotations

from collections.abc import Sequence

from personadual.reward_fns.normalise import canonical, canonical_of, clean


def is_right(
    answer: str | None, ground_truth: str, options: Sequence[str] | None = None, accept: Sequence[str] = ()
) -> bool:
    """Whether ``answer`` is ``ground_truth`` or one of ``accept``; None, no answer, is never right.

    With ``options`` each of these may be a letter ("A", "a.", "(A)", "A)"), the text of an option, or both where they
    agree ("A. the text"). Letters come first: where an option's text is itself the letter of another option, a letter
    always means the option at that place, in the ground truth too. An answer that could mean several options (two have
    the same normalised text, and it equals neither to the character) is right only if all of them are.

    A text of nothing but white space and zero-width characters is no answer, no alias and no option.

    Without options a ground truth that is one letter is compared as a letter, so "(A)." is A and "A or B" is not.

    Raises:
        ValueError: ``ground_truth`` is none of the ``options``; such a row could never be answered.
    """
    if options:
        right = _options_meant(ground_truth, options)
        if not right:
            raise ValueError(
                f"the ground truth {ground_truth!r} is none of the {len(options)} options {list(options)!r}"
            )
        aliases = []
        for alias in accept:
            meant = _options_meant(alias, options)
            right |= meant
            if not meant:
                aliases.append(alias)
        if answer is None:
            return False
        meant = _options_meant(answer, options)
        return meant <= right if meant else _equals_any(answer, aliases)
    return answer is not None and _equals_any(answer, [ground_truth, *accept])


def _equals_any(answer: str, accepted: Sequence[str]) -> bool:
    clean_answer = clean(answer)
    letter, form = _bare_letter(clean_answer), canonical_of(clean_answer)
    for text in accepted:
        clean_text = clean(text)
        if not clean_text:
            continue
        if form == canonical_of(clean_text) or (letter is not None and letter == _bare_letter(clean_text)):
            return True
    return False


def _options_meant(text: str, options: Sequence[str]) -> set[int]:
    """Places of the options that ``text`` can mean: none, one, or several that read the same."""
    clean_text = clean(text)
    if not clean_text:
        return set()
    letter = _bare_letter(clean_text)
    if letter is not None and letter < len(options):
        return {letter}
    exact = {place for place, option in enumerate(options) if option.strip() == text.strip()}
    if exact:
        return exact
    form = canonical_of(clean_text)
    same = {place for place, option in enumerate(options) if canonical(option) == form}
    if same:
        return same
    place, rest = _label(clean_text)
    if place is not None and place < len(options) and canonical(rest) == canonical(options[place]):
        return {place}
    return set()


def _bare_letter(form: str) -> int | None:
    """Place of the option that a clean text names by its letter alone."""
    place, rest = _label(form)
    return place if not rest else None


def _label(form: str) -> tuple[int | None, str]:
    """Option place and what follows it: "(b) yes" gives 1 and "yes", "b" gives 1 and "", "bat" gives None."""
    opened = form.startswith("(")
    letter, tail = form[opened : opened + 1], form[opened + 1 :]
    if not ("a" <= letter <= "z"):
        return None, form
    if opened or tail:
        if tail[:1] != ")" and (opened or tail[:1] not in (".", ":")):
            return None, form
        tail = tail[1:]
        if tail and not tail.startswith(" "):
            return None, form
    return ord(letter) - ord("a"), tail.strip()
