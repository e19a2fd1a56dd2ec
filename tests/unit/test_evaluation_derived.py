"""Derived items: personas dealt out again, and personas that order a mode; the rest of an item stays."""

import time
from collections import Counter

import pytest
from tiny_model import build_tiny_tokenizer

from personadual.evaluation import derived, offline
from personadual.evaluation.data import Item
from personadual.evaluation.derived import WORDINGS, derive
from personadual.evaluation.engine import Completion
from personadual.evaluation.evaluate import chosen_items
from personadual.evaluation.generate import Asked, RowMaker
from personadual.evaluation.prompts import TokenPrompts
from personadual.modes import DEFAULT_MODES, Mode, Modes
from personadual.reward_fns import compute_score

RIGHT = {"none": "general", "unaligned": "general", "conflicting": "general", "aligned": "personalized",
         "personal": "personalized", "ambiguous": None}  # fmt: skip


def item(number, condition, persona, question="", truth="Paris", system="User profile: {}", **extra):
    question = question or f"question {number}?"
    prompt = [{"role": "system", "content": system.format(persona)}, {"role": "user", "content": question}]
    info = {"item": number, "question_id": question, "condition": condition, "right_mode": RIGHT[condition],
            "persona": persona, "question": question, "index": number, **extra}  # fmt: skip
    return Item(number, prompt, "quickstart_" + condition, truth, info)


def several(count=40):
    conditions = [*RIGHT]
    return [
        item(number, name, "" if name == "none" else f"Persona {number}.", question=f"q{number // len(conditions)}?")
        for number in range(count)
        for name in [conditions[number % len(conditions)]]
    ]


def text(prompt):
    return "\n".join(message["content"] for message in prompt)


def test_shuffled_gives_each_objective_question_a_persona_of_another_question():
    items = several()
    by_number = {found.item: found for found in items}
    made = derive(items, ["shuffled"], DEFAULT_MODES)
    objective = [found for found in items if found.condition in ("unaligned", "aligned", "conflicting")]
    assert [found.base_item for found in made] == [found.item for found in objective]
    assert [found.item for found in made] == [found.item + 40 for found in objective]
    assert made == derive(items, ["shuffled"], DEFAULT_MODES)
    owners = {found.persona: found for found in items if found.persona}
    for found in made:
        base, owner = by_number[found.base_item], owners[found.persona]
        assert owner.extra_info["question_id"] != base.extra_info["question_id"]
        assert text(found.prompt) == text(base.prompt).replace(base.persona, found.persona)
        assert (found.data_source, found.ground_truth) == (base.data_source, base.ground_truth)
        expected = {"item": found.item, "condition": "shuffled", "right_mode": "general", "persona": found.persona}
        assert found.extra_info == base.extra_info | expected
    # Each persona once: what differs from the base items is the pairing alone.
    assert max(Counter(found.persona for found in made).values()) == 1
    assert {owners[found.persona].condition for found in made} > {"personal"}


def test_a_foreign_persona_never_names_the_answer():
    capitals = [("France", "Paris"), ("Peru", "Lima"), ("Japan", "Tokyo"), ("Kenya", "Nairobi")]
    items = [
        item(number, "aligned", f"I moved to {capital}.", f"Capital of {country}?", capital, accept=["X", *more])
        for number, ((country, capital), more) in enumerate(zip(capitals, [["lima"], [], [], []], strict=True))
    ]
    items += [item(9, "unaligned", "I sail.", "Which city?", "B", options=["Rome", "Tokyo"])]
    for _ in range(2):
        made = {found.base_item: found for found in derive(items, ["shuffled"], DEFAULT_MODES)}
        assert "Lima" not in made[0].persona and "Tokyo" not in made[9].persona
        assert len(made) == 5


def test_questions_that_no_persona_fits_are_left_out():
    both = [item(0, "unaligned", "I sail.", "a?"), item(1, "conflicting", "I row.", "a?")]
    with pytest.raises(ValueError, match="--derive shuffled: fits none of the 2 items"):
        derive(both, ["shuffled"], DEFAULT_MODES)
    third = item(2, "unaligned", "I walk.", "b?")
    assert len(derive([*both, third], ["shuffled"], DEFAULT_MODES)) == 2


def test_time_does_not_grow_with_the_square_of_the_items_where_few_personas_fit(monkeypatch):
    alike = [item(number, "unaligned", "I sail.") for number in range(6000)]
    start = time.process_time()
    assert derived.shuffled(alike, DEFAULT_MODES, 6000) == []
    assert time.process_time() - start < 5
    # Two personas in two blocks: what fits stands half the file away, and is found for all.
    blocks = [item(number, "unaligned", "I sail." if number < 1000 else "I row.") for number in range(2000)]
    assert len(derived.shuffled(blocks, DEFAULT_MODES, 2000)) == 2000
    looked = []
    monkeypatch.setattr(derived, "occurs", lambda answer, persona: looked.append(answer) or True)
    monkeypatch.setattr(derived, "TRIES", 10)
    others = [item(number, "unaligned", f"Persona {number}.", truth=f"t{number}") for number in range(300)]
    assert derived.shuffled(others, DEFAULT_MODES, 300) == []
    assert len(looked) <= 300 * (10 + 2)


def test_orders_name_the_wrong_mode_in_every_wording():
    items = several(360)
    made = derive(items, ["orders"], DEFAULT_MODES)
    wanted = [found for found in items if found.persona and found.extra_info["right_mode"]]
    assert [found.base_item for found in made] == [found.item for found in wanted]
    assert [found.item for found in made] == [found.item + 2 * 360 for found in wanted]
    wordings = Counter()
    for found, base in zip(made, wanted, strict=True):
        right = base.extra_info["right_mode"]
        ordered = {"general": "personalized", "personalized": "general"}[right]
        tag = DEFAULT_MODES[DEFAULT_MODES.index_of(ordered)].tag
        assert found.condition == f"orders_{ordered}" and found.extra_info["right_mode"] == right
        assert found.persona.startswith(base.persona)
        assert text(found.prompt) == text(base.prompt).replace(base.persona, found.persona)
        wordings[found.persona.removeprefix(base.persona).replace(tag, "{tag}")] += 1
    assert set(wordings.values()) <= {1, 2} and set(wordings) == set(WORDINGS)


def test_more_modes_order_the_next_one():
    modes = Modes([*DEFAULT_MODES, Mode("terse", "[Gist]")])
    items = [item(0, "unaligned", "I sail."), item(1, "aligned", "I row.")]
    assert [found.condition for found in derive(items, ["orders"], modes)] == ["orders_personalized", "orders_terse"]


@pytest.mark.parametrize(
    "changed, message",
    [
        (item(3, "unaligned", "I sail.", "I sail. Where?"), "item 3: its persona must occur exactly once .* 2 times"),
        (item(3, "unaligned", "I sail.", system="none"), "item 3: its persona must occur exactly once .* 0 times"),
        (item(3, "unaligned", "aa", "Who?", system="aaa{}"), "item 3: .* 4 times"),
        (
            Item(3, [{"role": "user", "content": [{"type": "text", "text": "I sail."}]}], "d", "x",
                 item(3, "unaligned", "I sail.").extra_info),
            "item 3: message 0 of its prompt is no plain text",
        ),
    ],
)  # fmt: skip
def test_a_persona_that_is_not_there_exactly_once_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        derive([changed, item(4, "unaligned", "I row.")], ["orders"], DEFAULT_MODES)


def test_unknown_names_and_files_without_personas_are_refused():
    with pytest.raises(ValueError, match="--derive: reversed is not known; there are shuffled, orders"):
        derive(several(), ["reversed"], DEFAULT_MODES)
    with pytest.raises(ValueError, match="--derive orders: fits none"):
        derive([item(0, "none", "")], ["orders"], DEFAULT_MODES)
    assert derive([item(0, "none", "")], [], DEFAULT_MODES) == []


def test_a_shorter_run_asks_the_same_items_as_a_whole_one():
    items = several()
    whole = chosen_items(items, ["orders", "shuffled"], DEFAULT_MODES, None)
    short = chosen_items(items, ["shuffled", "orders"], DEFAULT_MODES, 2)
    assert [found for found in whole if found in short] == short
    assert Counter(found.condition for found in short) == {
        **dict.fromkeys(RIGHT, 2), "shuffled": 6, "orders_general": 4, "orders_personalized": 4
    }  # fmt: skip
    assert len({found.item for found in whole}) == len(whole)
    assert chosen_items(items, ["orders"], DEFAULT_MODES, 2) == [f for f in short if f.condition != "shuffled"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tiny_tokenizer()


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("said", ["", "Lyon.", "[Personalized_mode]", " [General_mode]\nx"])
def test_a_tag_in_the_persona_is_never_the_mode_of_the_answer(wording, said, tokenizer):
    """Neither of the model's answer nor of the grader's, whatever the persona closes and opens."""
    persona = "I sail." + wording.replace("{tag}", "[General_mode]")
    asked = Asked(item(0, "aligned", persona), "free")
    prompts = TokenPrompts(tokenizer, DEFAULT_MODES, {})
    completion = Completion([*tokenizer.encode(said), tokenizer.eos_token_id], [], truncated=False)
    reply = offline.reply_of(asked, completion, prompts)
    row = RowMaker("m", 0, DEFAULT_MODES, compute_score, 1.0).row(asked, reply)
    assert row["response"] == said
    assert row["mode"] == ("personalized" if said == "[Personalized_mode]" else "invalid")
    assert row["format"] == 0 and row["persona"] == persona
