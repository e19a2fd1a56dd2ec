"""Markers in questions and personas are broken or the row is dropped; the language filter."""

import pickle
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.data_prep import hygiene
from personadual.data_prep.hygiene import Hygiene, Rules
from personadual.data_prep.language import is_english
from personadual.data_prep.record import Record, Rejected
from personadual.modes import DEFAULT_MODES, Mode, Modes, parse_mode
from personadual.reward_fns.answer_block import read_block, render_block

CLEAN = Hygiene()
RECORD = Record("q:1", "Which?", "B", "flan", "MIT", "FLAN", options=("yes", "no"))


@pytest.mark.parametrize(
    ("text", "escaped", "count"),
    [
        ("What is 2 < 3 | 4 > 1?", "What is 2 < 3 | 4 > 1?", 0),
        ("[General_mode]\nhi [personalized_MODE]", "[ General_mode]\nhi [ personalized_MODE]", 2),
        ("a<|im_end|>\n<|im_start|>system", "a< |im_end|>\n< |im_start|>system", 2),
        ("<|eot_id|><|endoftext|>", "< |eot_id|>< |endoftext|>", 2),
        ("[INST] <<SYS>>x<</SYS>> [/INST]</s>", "[ INST] < <SYS>>x< </SYS>> [ /INST]< /s>", 5),
        ("<start_of_turn>user <think>", "< start_of_turn>user < think>", 2),
        ("＜answer＞ and ＜｜User｜＞", "＜ answer＞ and ＜ ｜User｜＞", 2),
        ("<answer>\n{}\n</Answer>", "< answer>\n{}\n< /Answer>", 2),
        ("<<answer>", "<< answer>", 1),
        ("<|<|a|>", "<|< |a|>", 1),
        ("10² ½ ｱ <answer>", "10² ½ ｱ < answer>", 1),
    ],
)
def test_markers_are_broken_and_nothing_else_changes(text, escaped, count):
    assert CLEAN.text(text, "question") == (escaped, count)
    assert CLEAN.text(escaped, "question") == (escaped, 0)


pieces = st.lists(
    st.sampled_from(
        ["[", "]", "<", ">", "|", "/", " ", "General_mode", "ANSWER", "answer", "im_end", "INST", "＜", "x"]
    )
).map("".join)


@given(pieces)
def test_no_marker_is_left_and_only_spaces_are_added(text):
    escaped, count = CLEAN.text(text, "persona")
    assert CLEAN.text(escaped, "persona") == (escaped, 0)
    assert (count == 0) == (escaped == text) and len(escaped) == len(text) + count
    assert escaped.replace(" ", "") == text.replace(" ", "")
    lowered = escaped.lower()
    for marker in ("[general_mode]", "[personalized_mode]", "<answer>", "</answer>", "<|im_end|>", "[inst]", "[/inst]"):
        assert marker not in lowered


def test_every_form_of_an_ascii_character_is_known():
    for code in range(0x80, 0x110000):
        form = unicodedata.normalize("NFKC", chr(code))
        if len(form) == 1 and form.isascii() and form.isalpha():
            assert CLEAN.text(f"<{'answer'.replace(form.lower(), chr(code))}>", "question")[1] == 1


def test_escaped_texts_parse_as_no_mode_and_no_answer():
    text = DEFAULT_MODES[0].prefix + render_block("A")
    escaped, _ = CLEAN.text(text, "question")
    assert parse_mode(text).index == 0 and read_block(text) is not None
    assert parse_mode(escaped).name == "invalid" and read_block(escaped) is None


def test_tags_are_those_of_the_configured_modes():
    modes = Modes([Mode("one", "[x]"), Mode("two", "[ x]"), Mode("three", "Think it over:")])
    own = Hygiene(modes)
    assert own.text("[x] [General_mode]", "question") == ("[  x] [General_mode]", 2)
    assert own.text("think it over:", "question") == ("t hink it over:", 1)
    with pytest.raises(ValueError, match="single character"):
        Hygiene(Modes([Mode("one", "#"), Mode("two", "@@")]))


def test_a_record_goes_by_the_rule_of_each_field():
    dirty = replace(RECORD, question="<s>Which?</s>", persona="I am [INST].", options=("<answer>", "no"))
    cleaned, counts = CLEAN.record(dirty)
    assert cleaned == replace(RECORD, question="< s>Which?< /s>", persona="I am [ INST].", options=("< answer>", "no"))
    assert counts == {"question": 2, "persona": 1, "options": 1}
    assert CLEAN.record(RECORD) == (RECORD, {})
    for field in ("question", "persona", "options"):
        with pytest.raises(Rejected, match=hygiene.MARKER) as caught:
            Hygiene(rules=Rules(**{field: "drop"})).record(dirty)
        assert caught.value.field == field and not caught.value.malformed


@pytest.mark.parametrize("field", ["answer", "accept"])
def test_an_open_answer_with_a_marker_is_dropped_unless_told_otherwise(field):
    value = "the <s> tag" if field == "answer" else ("strike", "the <s> tag")
    dirty = replace(RECORD, options=None, answer="strike")
    dirty = replace(dirty, **{field: value})
    with pytest.raises(Rejected, match=hygiene.MARKER):
        CLEAN.record(dirty)
    cleaned, counts = Hygiene(rules=Rules(answer="escape")).record(dirty)
    assert "the < s> tag" in getattr(cleaned, field) and counts == {"answer": 1}


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize("field", ["question", "persona", "options", "answer", "question_id", "subject"])
def test_what_is_no_text_is_malformed(field, bad):
    record = replace(RECORD, options=None, answer="no") if field == "answer" else RECORD
    with pytest.raises(Rejected, match=hygiene.NO_TEXT) as caught:
        CLEAN.record(replace(record, **{field: (bad, "no") if field == "options" else bad}))
    assert caught.value.malformed and caught.value.field == field


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match=r"hygiene\.persona: 'escape' or 'drop' is needed, found 'remove'"):
        Rules(persona="remove")


def test_it_can_be_sent_to_another_process():
    sent = pickle.loads(pickle.dumps(Hygiene(rules=Rules(question="drop"))))
    with pytest.raises(Rejected):
        sent.text("<answer>", "question")


def test_hostile_texts_take_linear_work():
    for text in ("<|" * 200_000, "<|" + "a" * 400_000, "[" * 400_000, "＜" * 400_000, "<answer>" * 20_000):
        CLEAN.text(text, "question")


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("A pediatric nurse who loves cats", True),
        ("A DJ", True),
        ("A taiko drummer", True),
        ("A café owner in São Paulo", True),
        ("A retired samba dancer in Rio de Janeiro", True),
        ("A fan of FC Bayern München", True),
        ("A K-drama fan who types 한국", True),
        ("", True),
        ("一位儿科护士", False),
        ("一个喜欢做饭的人 who likes cooking", False),
        ("Учитель математики из Москвы", False),
        ("Un infirmier pédiatrique qui aime les chats", False),
        ("Ein Lehrer aus Berlin, der gerne wandert", False),
        ("Soy una enfermera de Madrid que trabaja en un hospital", False),
    ],
)
def test_which_texts_are_english(text, english):
    assert is_english(text) is english
