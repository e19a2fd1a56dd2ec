"""The modes: how a text is read, what a configuration may say, and which tokenizers keep a tag."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from personadual.modes import (
    DEFAULT_MODES,
    INVALID_MODE,
    Mode,
    Modes,
    ParsedMode,
    deciding_position,
    encode_prefix,
    encode_prefixes,
    modes_sharing_a_token,
    parse_mode,
)

THREE = Modes([Mode("plain", "<plain>"), Mode("tuned", "【定制模式】"), Mode("mixed", "~mixed~")])


def byte_level_tokenizer(*texts: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on ``texts``: it writes any text, and those texts in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def lowercasing_tokenizer(*texts: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that forgets case and line ends, as many older ones do."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize(
    ("text", "name", "body"),
    [
        ("[General_mode]\nTwo.", "general", "Two."),
        ("[Personalized_mode]\nTea.", "personalized", "Tea."),
        ("[General_mode]", "general", ""),
        ("[General_mode]\n", "general", ""),
        ("[General_mode]\n\n Two.", "general", "\n Two."),
        ("[General_mode]\n[Personalized_mode]\nTea.", "general", "[Personalized_mode]\nTea."),
    ],
)
def test_a_tag_on_the_first_line_gives_the_mode_and_the_text_behind_it(text, name, body):
    assert parse_mode(text) == ParsedMode(DEFAULT_MODES.index_of(name), name, body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Two.",
        " [General_mode]\nTwo.",
        "\n[General_mode]\nTwo.",
        "[General_mode]Two.",
        "[General_mode] \nTwo.",
        "[General_mode]\r\nTwo.",
        "[General_mode][General_mode]\nTwo.",
        "[general_mode]\nTwo.",
        "[GENERAL_MODE]\nTwo.",
        "[General_mode\nTwo.",
        "General_mode\nTwo.",
        "The question asks for\n[Personalized_mode]\nTea.",
        "Two.\n[General_mode]",
    ],
)
def test_a_tag_anywhere_else_is_text_and_the_mode_is_invalid(text):
    assert parse_mode(text) == ParsedMode(INVALID_MODE, "invalid", text)


@pytest.mark.parametrize(
    ("text", "index"),
    [("<plain>\nx", 0), ("【定制模式】\nx", 1), ("~mixed~", 2), ("【定制模式】x", -1), ("[General_mode]\nx", -1)],
)
def test_three_modes_with_tags_of_their_own(text, index):
    assert parse_mode(text, THREE).index == index


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        ([], "at least 2 are needed, found 0"),
        ([Mode("a", "<a>")], "at least 2 are needed, found 1"),
        ([Mode("a", "<a>"), Mode("a", "<b>")], "'a' is given twice"),
        ([Mode("a", "<a>"), Mode("b", "<a>")], "no text could tell them apart"),
        ([Mode("a", "<a"), Mode("b", "<a>")], "tag '<a' starts tag '<a>'"),
        ([Mode("a", "<a>"), Mode("b", "<a")], "tag '<a' starts tag '<a>'"),
        ([Mode("a", ""), Mode("b", "<b>")], "tag '' of 'a'"),
        ([Mode("a", "  "), Mode("b", "<b>")], "tag '  ' of 'a'"),
        ([Mode("a", " <a>"), Mode("b", "<b>")], "without outer spaces"),
        ([Mode("a", "<a>\n"), Mode("b", "<b>")], "must be one line"),
        ([Mode("a", "<a\n>"), Mode("b", "<b>")], "must be one line"),
        ([Mode("", "<a>"), Mode("b", "<b>")], "must be an identifier"),
        ([Mode("a b", "<a>"), Mode("b", "<b>")], "name 'a b' must be an identifier"),
        ([Mode("a/b", "<a>"), Mode("b", "<b>")], "must be an identifier"),
        ([Mode("invalid", "<a>"), Mode("b", "<b>")], "other than 'invalid' and 'free'"),
        ([Mode("free", "<a>"), Mode("b", "<b>")], "other than 'invalid' and 'free'"),
    ],
)
def test_modes_that_could_be_mistaken_are_refused(modes, message):
    with pytest.raises(ValueError) as refusal:
        Modes(modes)
    assert message in str(refusal.value)


def test_the_same_mode_twice_is_refused():
    mode = Mode("a", "<a>")
    with pytest.raises(ValueError, match="given twice"):
        Modes([mode, mode])


def test_the_order_of_the_modes_is_their_index():
    assert THREE.names == ("plain", "tuned", "mixed")
    assert [THREE.index_of(name) for name in THREE.names] == [0, 1, 2]
    assert [mode.prefix for mode in THREE] == ["<plain>\n", "【定制模式】\n", "~mixed~\n"]
    assert Modes(list(THREE)) == THREE
    assert Modes(list(THREE)[::-1]) != THREE


def test_an_unknown_mode_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown mode 'generall'; the configured modes are general, personalized"):
        DEFAULT_MODES.index_of("generall")


def test_a_config_block_gives_the_modes_and_no_block_the_two_of_the_paper():
    assert Modes.from_config(None) is DEFAULT_MODES
    assert Modes.from_config([{"name": mode.name, "tag": mode.tag} for mode in THREE]) == THREE
    assert [mode.prefix for mode in DEFAULT_MODES] == ["[General_mode]\n", "[Personalized_mode]\n"]


@pytest.mark.parametrize(
    "block",
    [
        ["general", "personalized"],
        [{"name": "a", "tag": "<a>"}, {"name": "b"}],
        [{"name": "a", "tag": "<a>"}, {"name": "b", "tag": "<b>", "weight": 2}],
    ],
)
def test_a_config_block_of_another_form_is_refused_with_its_position(block):
    with pytest.raises(ValueError, match=r"modes\[\d\]: exactly the keys 'name' and 'tag'"):
        Modes.from_config(block)


@pytest.mark.parametrize("block", [{"name": "a", "tag": "<a>"}, 0.25, True])
def test_a_config_block_that_is_no_list_is_refused(block):
    with pytest.raises(ValueError, match=r"modes: a list of \{name, tag\} or the path of a file is needed, found"):
        Modes.from_config(block)


@pytest.mark.parametrize("modes", [DEFAULT_MODES, THREE])
def test_a_byte_level_tokenizer_keeps_every_prefix(modes):
    tokenizer = byte_level_tokenizer(*(mode.prefix for mode in modes))
    prefixes = encode_prefixes(tokenizer, modes)
    assert [tokenizer.decode(ids) for ids in prefixes] == [mode.prefix for mode in modes]
    column = deciding_position(prefixes)
    assert len({tuple(ids[:column]) for ids in prefixes}) == 1
    assert len({ids[column] for ids in prefixes}) > 1


def test_no_special_token_gets_into_a_prefix():
    tokenizer = byte_level_tokenizer("[General_mode]\n")
    tokenizer.add_bos_token = True
    assert tokenizer.eos_token_id not in encode_prefix(tokenizer, DEFAULT_MODES[0])


def test_a_tokenizer_that_changes_the_tag_is_refused():
    tokenizer = lowercasing_tokenizer(*(mode.prefix for mode in DEFAULT_MODES))
    with pytest.raises(ValueError, match="does not keep the prefix of mode 'general'") as refusal:
        encode_prefix(tokenizer, DEFAULT_MODES[0])
    assert "[General_mode]\\n" in str(refusal.value)
    assert "[ general_mode ]" in str(refusal.value)


def test_a_tag_that_is_a_special_token_is_refused_because_decoding_drops_it():
    tokenizer = byte_level_tokenizer("[General_mode]\n")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[General_mode]"]})
    with pytest.raises(ValueError, match="does not keep the prefix of mode 'general'"):
        encode_prefix(tokenizer, DEFAULT_MODES[0])


def test_a_tag_that_is_an_added_token_but_not_a_special_one_is_kept():
    tokenizer = byte_level_tokenizer("[Personalized_mode]\n")
    tokenizer.add_tokens(["[General_mode]"])
    assert len(encode_prefix(tokenizer, DEFAULT_MODES[0])) == 2


@pytest.mark.parametrize(
    ("prefixes", "column"),
    [
        ([[1, 2, 3], [1, 4, 3]], 1),
        ([[5, 2], [6, 2]], 0),
        ([[1, 2, 3, 9], [1, 2, 4]], 2),
        ([[1, 2, 7], [1, 2, 7], [1, 3, 7]], 1),
    ],
)
def test_the_deciding_token_is_the_first_that_differs(prefixes, column):
    assert deciding_position(prefixes) == column


@pytest.mark.parametrize(
    ("prefixes", "shared"),
    [
        ([[1, 2, 3], [1, 4, 3]], []),
        ([[1, 2], [1, 3], [1, 4]], []),
        ([[1, 2, 7], [1, 2, 8], [1, 3, 7]], [[0, 1]]),
        ([[5, 1], [6, 1], [5, 2], [6, 2], [7]], [[0, 2], [1, 3]]),
    ],
)
def test_modes_that_the_deciding_token_does_not_tell_apart(prefixes, shared):
    assert modes_sharing_a_token(prefixes) == shared


@pytest.mark.parametrize("prefixes", [[[1, 2], [1, 2, 3]], [[1, 2], [1, 2]]])
def test_prefixes_between_which_no_token_decides_are_refused(prefixes):
    with pytest.raises(ValueError, match="no token decides"):
        deciding_position(prefixes)


@pytest.mark.parametrize("modes", [DEFAULT_MODES, THREE])
def test_modes_as_a_config_block_are_the_same_modes(modes):
    assert Modes.from_config(modes.to_config()) == modes


def test_modes_of_a_file(tmp_path):
    path = tmp_path / "modes.yaml"
    path.write_text("modes:\n- {name: a, tag: '[A]'}\n- {name: b, tag: '[B]'}\n")
    assert Modes.from_config(path).names == Modes.from_config(str(path)).names == ("a", "b")
    path.write_text('[{"name": "a", "tag": "[A]"}, {"name": "b", "tag": "[B]"}]')
    assert Modes.from_config(path).names == ("a", "b")
    path.write_text("a: 1")
    with pytest.raises(ValueError, match="a list of"):
        Modes.from_config(path)
    with pytest.raises(ValueError, match="cannot be read"):
        Modes.from_config(tmp_path / "missing.yaml")
