"""Which answers are the same answer: normalisation, numbers, letters, options, aliases."""

import string
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.reward_fns.graders import objective, personalized
from personadual.reward_fns.matching import is_right
from personadual.reward_fns.normalise import MAX_MARKS, bound_marks, canonical, clean, is_blank


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("paris", "Paris"),
        ("  Paris \n", "Paris"),
        ("New\t York", "new york"),
        ("Paris.", "Paris"),
        ("Paris!?", "Paris"),
        ('"Paris".', "Paris"),
        ("“Paris.”", "Paris"),
        ("'Paris'", "Paris"),
        ("Ｐａｒｉｓ", "Paris"),
        ("北京。", "北京"),
        ("Bogota", "Bogotá"),
        ("Sao Tome", "São Tomé"),
        ("Bogota\u0301", "Bogotá"),
        ("Alzheimer’s disease", "Alzheimer's disease"),
        ("Guinea–Bissau", "Guinea-Bissau"),
        ("Straße", "STRASSE"),
        ("U.S", "U.S."),
        ("Pa\u200bris", "Paris"),
        ("Istanbul", "İstanbul"),
        ("H₂O", "H2O"),
        ("10²", "10^2"),
        ("?", "?"),
    ],
)
def test_the_same_answer(answer, truth):
    assert is_right(answer, truth)
    assert is_right(truth, answer)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("Paris, France", "Paris"),
        ("The Hague", "Hague"),
        ("not Paris", "Paris"),
        ("Paris/Rome", "Paris"),
        ("Pari s", "Paris"),
        ("が", "か"),  # marks of other scripts are letters of their own
        ("≠", "="),
        ("10²", "102"),
        ("ø", "o"),
        ("?", "!"),
        ("", "Paris"),
    ],
)
def test_another_answer(answer, truth):
    assert not is_right(answer, truth)
    assert not is_right(truth, answer)


BLANKS = ["", " \n\u3000", "\u200b", "\ufeff\u00ad \u2060", "\u200e\u202e\u2066", "\u3164\uffa0"]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("other", BLANKS)
def test_a_blank_text_is_no_answer_no_alias_and_no_option(blank, other):
    assert not is_right(blank, "Paris", accept=[other])
    assert not is_right(blank, other)
    assert not is_right(blank, "A", ["yes", other])
    assert not is_right(blank, "B", ["yes", other], accept=[other])
    with pytest.raises(ValueError, match="none of the 2 options"):
        is_right(blank, blank, ["yes", other])


@given(st.text(st.sampled_from(" \n\u00a0\u200b\u200e\u2069\u2060\ufeff\u00ad\u3000\u3164\u0301a.\u00a8"), max_size=4))
def test_blank_is_what_cleaning_leaves_nothing_of(text):
    assert is_blank(text) == (clean(text) == "")


# A mark alone, one that decomposes to two, one that is none itself but decomposes to one, one above U+FFFF, and the one
# of the block of accents that is no mark.
MARKS = ["\u0327", "\u0f73", "\uff9e", "\U0001d165", "\u034f"]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_in_a_row_are_bounded_wherever_they_stand(mark):
    run = mark * MAX_MARKS
    assert bound_marks(f"a{run} b{run}") == f"a{run} b{run}"
    assert bound_marks(f"a{run}{mark} b{run}\u0301\u0301c") == f"a{run} b{run}c"


@pytest.mark.parametrize("text", ["Bogota\u0301", "हिन्दी", "\U0001d5d4" * 99, "\U0001f600" * 99, "ｱﾞ" * 99, "x" * 99])
def test_ordinary_text_keeps_its_marks(text):
    assert bound_marks(text) == text


@pytest.mark.parametrize("text", ["\u0f73" * 4000, "\u0301\u0327" * 500_000, "\u0f72\u200b\u0f71\u200b" * 250_000])
def test_marks_without_end_are_cleaned_in_linear_time(text):
    start = time.process_time()
    clean(text)
    clean("e" + text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "text", ["1000", "1,000", "1000.0", "1000.", "+1000", "1e3", "1E+3", " 1,000.00 ", "１０００", "'1000'"]
)
def test_numbers_as_text(text):
    assert is_right(text, "1000")
    assert is_right("1000", text)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("-5", "5"),
        ("10,00", "1000"),
        ("1,0000", "10000"),
        ("007", "7"),
        ("5%", "5"),
        ("5 km", "5"),
        ("1 000", "1000"),
        ("0.30000000000000004", "0.3"),
        ("1e9999", "1"),
        ("1_000", "1000"),
        ("nan", "0"),
        ("1/2", "0.5"),
    ],
)
def test_not_the_same_number(answer, truth):
    assert not is_right(answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"), [("−5", "-5"), (".5", "0.5"), ("-0", "0"), ("0.10", "0.1"), ("007", "007")]
)
def test_the_same_number(answer, truth):
    assert is_right(answer, truth)


LETTER_ANSWERS = ["B", "b", "B.", "(B)", "B)", "(b).", " B ", '"B"', "B:"]
SEVERAL_LETTERS = ["A or B", "A, B", "B, A", "AB", "BB", "A/B", "A and B", "(A)(B)", "B) A)", "B.A", "B. C", "(B", "B-"]


@pytest.mark.parametrize("answer", LETTER_ANSWERS)
def test_a_letter_where_the_options_are_unknown(answer):
    assert is_right(answer, "B")
    assert is_right(answer, "(b)")
    assert not is_right(answer, "A")


@pytest.mark.parametrize("answer", [*SEVERAL_LETTERS, "B. Aspirin", "Option B"])
def test_not_one_letter_where_the_options_are_unknown(answer):
    assert not is_right(answer, "B")


OPTIONS = ["Aspirin", "Beta blocker", "Warfarin (5 mg)"]


@pytest.mark.parametrize("truth", ["B", "b.", "Beta blocker", "beta  blocker", "B. Beta blocker"])
@pytest.mark.parametrize(
    "answer",
    [
        *LETTER_ANSWERS,
        "Beta blocker",
        "beta blocker.",
        "B. Beta blocker",
        "(B) beta blocker",
        "b) Beta blocker",
        "B: Beta blocker",
    ],
)
def test_an_option_by_letter_text_or_both(answer, truth):
    assert is_right(answer, truth, OPTIONS)


@pytest.mark.parametrize(
    "answer",
    [
        *SEVERAL_LETTERS,
        "A",
        "D",
        "Z",
        "Aspirin",
        "A. Beta blocker",
        "B. Aspirin",
        "B Beta blocker",
        "Beta",
        "Aspirin, Beta blocker",
    ],
)
def test_another_option_none_or_several(answer):
    assert not is_right(answer, "B", OPTIONS)


def test_option_texts_with_brackets_numbers_and_commas():
    assert is_right("warfarin (5 mg)", "C", OPTIONS)
    assert is_right("1000", "B", ["10", "1,000"])
    assert is_right("A and B", "C", ["x", "y", "A and B"])
    assert is_right("A, B", "C", ["x", "y", "A, B"])


def test_a_letter_means_the_option_at_its_place_even_where_a_text_is_that_letter():
    vitamins = ["C", "A", "K"]
    assert is_right("C", "C", vitamins)
    assert is_right("K", "C", vitamins)  # no eleventh option, so K is the text of the third
    assert not is_right("C", "A", vitamins)
    assert is_right("X", "X", ["X", "Y"])
    assert is_right("A", "X", ["X", "Y"])


def test_an_answer_that_reads_as_two_options_is_right_only_if_both_are():
    twice = ["Yes", "No", "yes."]
    assert is_right("A", "A", twice)
    assert not is_right("C", "A", twice)
    assert not is_right("YES", "A", twice)
    assert is_right("Yes", "A", twice)  # equal to the character
    assert is_right("YES", "A", twice, accept=["C"])
    assert is_right("C", "YES", twice)
    figures = ["1.0", "1.00"]
    assert is_right("1.00", "B", figures)
    assert not is_right("1.0", "B", figures)


def test_aliases():
    assert is_right("Holland", "Netherlands", accept=["Holland", "The Netherlands"])
    assert is_right("the netherlands", "Netherlands", accept=["Holland", "The Netherlands"])
    assert not is_right("Belgium", "Netherlands", accept=["Holland"])
    assert is_right("ASA", "Aspirin", OPTIONS, accept=["asa"])
    assert is_right("C", "Aspirin", OPTIONS, accept=["Warfarin (5 mg)"])
    assert not is_right("B", "Aspirin", OPTIONS, accept=["asa"])


def test_no_answer_is_never_right_but_the_row_is_still_checked():
    assert not is_right(None, "None")
    assert not is_right(None, "A", OPTIONS)
    with pytest.raises(ValueError, match="none of the 3 options"):
        is_right(None, "E", OPTIONS)


@pytest.mark.parametrize("grader", [objective, personalized])
@pytest.mark.parametrize("make", [list, tuple, lambda texts: np.array(texts, dtype=object)])
def test_graders_read_options_and_aliases_from_any_list(grader, make):
    info = {"options": make(["tea", "coffee"]), "accept": make([])}
    assert grader("b", "coffee", info)
    assert not grader("a", "coffee", info)
    assert grader("Joe", "coffee", {"options": make([]), "accept": make(["joe"])})
    assert grader("coffee", "coffee", {"options": None, "accept": None})


def test_personalized_wants_the_attribute_that_the_question_turns_on():
    assert personalized("Chess", "chess", {"persona": "a vegan who plays chess"})
    for other in ("vegan", "vegan, chess", "a vegan who plays chess"):
        assert not personalized(other, "chess", {"persona": "a vegan who plays chess"})


WORDS = st.lists(st.text(string.ascii_letters + string.digits + "é-", min_size=1, max_size=8), min_size=1, max_size=4)


@given(
    WORDS,
    st.sampled_from([str.upper, str.lower, str.swapcase, str.title]),
    st.sampled_from([" ", "  ", "\t", "\n", "\u00a0"]),
    st.sampled_from(["", ".", "!", " .", "?!", "。"]),
    st.sampled_from(["", '"', "'", "`"]),
    st.sampled_from(["", " ", "\n"]),
)
def test_case_space_quotes_and_final_punctuation_change_nothing(words, case, space, final, quote, pad):
    truth = " ".join(words)
    answer = pad + quote + case(space.join(words)) + quote + final + pad
    assert is_right(answer, truth)
    assert is_right(truth, answer)
    if len(truth) > 1:  # one letter is the option at its place, whatever its text
        assert is_right(answer, "A", [truth, "§ another"])


@given(st.text(max_size=80))
def test_any_text_has_a_canonical_form_without_outer_space(text):
    assert canonical(text) == canonical(" " + text + "\n")


@given(st.text(string.printable, max_size=80))
def test_cleaning_twice_changes_nothing(text):
    assert clean(clean(text)) == clean(text)


@given(st.integers(-(10**30), 10**30))
def test_integers_in_their_usual_writings(value):
    for text in (f"{value:,}", f"{value}.0", f"{value}.", f"{value:+}"):
        assert canonical(text) == canonical(str(value))
    assert canonical(str(value)) != canonical(str(value + 1))
