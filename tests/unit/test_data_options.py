"""Options in texts and fields, and which of them an answer means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.data_prep import option_answers, options
from personadual.data_prep.record import Rejected
from personadual.reward_fns.matching import is_right

FOUR = ("Basophilia", "Kidney injury", "Contracture", "Thrombophlebitis")


@pytest.mark.parametrize(
    "text",
    [
        "Which?\n\nA. Basophilia\nB. Kidney injury\nC. Contracture\nD. Thrombophlebitis",
        "Which?\nA) Basophilia\nB) Kidney injury\n\nC) Contracture\nD) Thrombophlebitis\n",
        "Which?\n(A) Basophilia\n(B) Kidney injury\n(C) Contracture\n(D) Thrombophlebitis",
        "Which?\n  A: Basophilia\n  B: Kidney\ninjury\n  C: Contracture\n  D: Thrombophlebitis\n\nAnswer:",
        "Which?\nA.\nBasophilia\nB.\nKidney injury\nC.\nContracture\nD.\nThrombophlebitis",
        "Which? (A) Basophilia (B) Kidney injury (C) Contracture (D) Thrombophlebitis",
        "Which?\nOptions:\nA. Basophilia\nB. Kidney injury\nC. Contracture\nD. Thrombophlebitis",
        "Which?\n\nOPTIONS:\n- Basophilia\n- Kidney injury\n- Contracture\n- Thrombophlebitis\n",
    ],
)
def test_lists_of_options_in_a_text(text):
    assert options.parse(text) == ("Which?", FOUR)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A. baumannii grows. Why?\nA. heat\nB. cold", ("A. baumannii grows. Why?", ("heat", "cold"))),
        ("Old list\nOPTIONS:\n- x\n\nNew?OPTIONS:\n- a\n- - b", ("Old list\nOPTIONS:\n- x\n\nNew?", ("a", "- b"))),
        ("Which?\nA. E. coli\nB. none", ("Which?", ("E. coli", "none"))),
        ("Which?\nA. yes\nB.", ("Which?", ("yes", ""))),
        ("Is vitamin (A) good? (A) yes (B) no", ("Is vitamin (A) good?", ("yes", "no"))),
        ("", None),
        ("No options here. A. b", None),
        ("Which?\nA. only", None),
        ("Which?\nA. one\nC. three", None),
        ("Which?\nB. two\nC. three", None),
        ("Which?\nA. one\nB. two\nA. again", None),
        ("Which?\nA. one\n(B) two", None),
        ("Which?\nA. one\nB. two\n\nChoose wisely and give reasons.", None),
        ("Which?\nOPTIONS:\n- yes\n- no\nSay why.", None),
        ("Choose (A) left (B) both (A) and right", None),
        ("a) one\nb) two", None),
    ],
)
def test_texts_where_the_list_is_hard_to_tell(text, found):
    assert options.parse(text) == found


words = st.text("abcxyz é1%", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)


@given(words, st.lists(words, min_size=2, max_size=26))
def test_what_is_written_for_a_prompt_is_read_back(stem, texts):
    assert options.parse(options.render_options(stem, texts)) == (stem, tuple(texts))


@given(st.text("AB.() \n-OPTIONS:", max_size=200))
def test_no_text_breaks_the_parser(text):
    found = options.parse(text)
    assert found is None or all(isinstance(option, str) for option in found[1])


def test_long_hostile_texts_take_linear_work():
    for text in ("(A) " * 100_000, "A. \n" * 100_000, "OPTIONS:\n- " * 50_000, "\n" * 300_000, "A. x\n(B" * 50_000):
        options.parse(text)  # would take hours if any of it were quadratic in regular expressions


def test_how_options_are_shown():
    assert options.render_options("Which?", ("a", "b")) == "Which?\nA. a\nB. b"
    assert options.render_options("Which?", ("a\n\na", "b")) == "Which?\n\nA. a\n\na\n\nB. b"
    assert options.render_options("Which?", None) == options.render_options("Which?", ()) == "Which?"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", " b "], (("a", "b"), ("A", "B"))),
        ([1, 2.5], (("1", "2.5"), ("A", "B"))),
        ({"B": "b", "A": "a", "C": None}, (("a", "b"), ("A", "B"))),
        ({"text": ["a", "b"], "label": ["1", "2"]}, (("a", "b"), ("1", "2"))),
        ('["a", "b"]', (("a", "b"), ("A", "B"))),
        ('{"A": "a", "B": "b"}', (("a", "b"), ("A", "B"))),
        ("A. a\nB. b", (("a", "b"), ("A", "B"))),
        ("(A) a (B) b", (("a", "b"), ("A", "B"))),
    ],
)
def test_a_field_of_options(value, found):
    assert option_answers.from_value(value, "choices") == found


@pytest.mark.parametrize(
    "value",
    [None, 3, "yes|no", "Which?\nA. a\nB. b", "[1, 2", "[" * 9999, '["a", null]', ["a", True], [["a"]]]
    + [{"text": ["a", "b"], "label": ["A"]}, b"ab", '{"text": "ab", "label": "AB"}'],
)
def test_fields_that_are_no_options(value):
    with pytest.raises(Rejected) as caught:
        option_answers.from_value(value, "choices")
    assert (caught.value.reason, caught.value.field, caught.value.malformed) == (
        option_answers.UNREADABLE,
        "choices",
        True,
    )


@pytest.mark.parametrize(
    ("answer", "texts", "letter"),
    [
        ("B", FOUR, "B"),
        ("b.", FOUR, "B"),
        ("(C)", FOUR, "C"),
        ("d)", FOUR, "D"),
        ("kidney  injury", FOUR, "B"),
        ("Contracture.", FOUR, "C"),
        ("A. Basophilia", FOUR, "A"),
        ("(A) basophilia", FOUR, "A"),
        ("1,000", ("10", "1000"), "B"),
        ("n!", ("n", "n!"), "B"),
        ("A", ("A", "B"), "A"),
        ("x", ("A", "x", "3"), "B"),
    ],
)
def test_the_letter_of_an_answer(answer, texts, letter):
    assert option_answers.letter_of(answer, texts) == letter
    assert is_right(letter, letter, texts)


@pytest.mark.parametrize(
    ("answer", "texts", "reason"),
    [
        ("E", FOUR, option_answers.NOT_AMONG),
        ("", FOUR, option_answers.NOT_AMONG),
        ("Bas", FOUR, option_answers.NOT_AMONG),
        ("A. Kidney injury", FOUR, option_answers.NOT_AMONG),
        ("A or B", FOUR, option_answers.NOT_AMONG),
        ("B", ("B", "A"), option_answers.LETTER_OF_ANOTHER),
        ("e", ("e", "x", "y", "z", "E"), option_answers.LETTER_OF_ANOTHER),
        ("POLISH", ("Polish", "polish"), option_answers.AMBIGUOUS),
        ("a", ("a", "a "), option_answers.SAME),
        ("a", ("a",), option_answers.TOO_FEW),
        ("a", ("a", " "), option_answers.EMPTY),
        ("1", tuple(map(str, range(27))), option_answers.TOO_MANY),
    ],
)
def test_answers_that_name_no_option_or_two(answer, texts, reason):
    with pytest.raises(Rejected) as caught:
        option_answers.letter_of(answer, texts)
    assert caught.value.reason == reason and not caught.value.malformed


def test_answers_of_sources_that_give_texts_are_no_letters():
    assert option_answers.letter_of("B.", ("A", "B"), as_text=True) == "B"
    with pytest.raises(Rejected, match=option_answers.NOT_AMONG):
        option_answers.letter_of("A", ("x", "y"), as_text=True)


@given(words, words, st.integers(), st.text(max_size=9))
def test_the_order_of_two_is_seeded_and_the_same_whichever_is_right(one, other, seed, question_id):
    if one == other:
        return
    shown, letter = options.in_seeded_order(one, other, seed, question_id)
    assert sorted(shown) == sorted((one, other)) and shown["AB".index(letter)] == one
    again, opposite = options.in_seeded_order(other, one, seed, question_id)
    assert again == shown and {letter, opposite} == {"A", "B"}


def test_about_half_of_the_right_answers_are_a():
    letters = [options.in_seeded_order("good", "bad", 1, str(number))[1] for number in range(1000)]
    assert 440 < letters.count("A") < 560
    assert letters != [options.in_seeded_order("good", "bad", 2, str(number))[1] for number in range(1000)]
