"""The authors' rules read in linear time give what their plain loops give."""

from hypothesis import given
from hypothesis import strategies as st

from personadual.modes import DEFAULT_MODES, GENERAL
from personadual.reward_fns import authors

PIECES = [
    GENERAL.tag, GENERAL.prefix, "[Personalized_mode]", "\n\n<answer>", "\n", " ", "\x1c", "\u2003", '{"answer":', "{",
    "}", '"A"', "</answer>", "x",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def last_braces(text):
    found, start = None, text.find("{")
    while start >= 0:
        end = text.find("}", start)
        if end < 0:
            break
        found = text[start : end + 1]
        start = text.find("{", end + 1)
    return found


def well_formed(text, modes):
    tag = next((mode.tag for mode in modes if text.startswith(mode.tag)), None)
    if tag is None or not text.endswith("</answer>"):
        return False
    if text.startswith("\n[", len(tag)) and "_mode]" in text[len(tag) + 2 :]:
        return False
    last = len(text.removesuffix("</answer>").rstrip()) - 1
    if last < 0 or text[last] != "}":
        return False
    start = text.find("\n\n<answer>", len(tag))
    while start >= 0:
        content = start + len("\n\n<answer>")
        while content < last and text[content].isspace():
            content += 1
        if text.startswith('{"answer":', content):
            return content + len('{"answer":') <= last
        start = text.find("\n\n<answer>", start + 1)
    return False


@given(st.one_of(TEXTS, st.text("{}ab", max_size=12)))
def test_the_last_braces(text):
    assert authors._last_braces(text) == last_braces(text)


@given(
    st.sampled_from(["", GENERAL.tag]), TEXTS, st.sampled_from(["", "}</answer>", '\n\n<answer>{"answer":}\n</answer>'])
)
def test_the_format(tag, middle, end):
    text = tag + middle + end
    assert authors.authors_format(text, DEFAULT_MODES) == well_formed(text, DEFAULT_MODES)
