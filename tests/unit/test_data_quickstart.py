"""The quickstart bed: what its rows must be for the conditions, the modes and the splits to mean anything."""

import re
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from personadual import schema
from personadual.data_prep.columns import MODE, RL_SCHEMA, SFT_SCHEMA, SPLITS, to_table
from personadual.data_prep.quickstart import QuickstartConfig, build_rows, check_conditions, check_disjoint, plan
from personadual.data_prep.quickstart.config import OBJECTIVE_CONDITIONS
from personadual.data_prep.quickstart.fact_templates import DOUBTFUL_CLAIMS
from personadual.data_prep.quickstart.facts import countries, facts_of, false_answers, mentions
from personadual.data_prep.quickstart.samples import NO_PROFILE
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, Mode, Modes, parse_mode
from personadual.reward_fns import compute_score

CONFIG = QuickstartConfig()
RL_FILES = ("rl_train", "rl_val", "test")


@pytest.fixture(scope="module")
def samples():
    return plan.plan_samples(CONFIG)


@pytest.fixture(scope="module")
def rows():
    return build_rows(CONFIG)


def by_split(samples):
    return {split: [s for part in samples.values() for s in part if s.item.split == split] for split in SPLITS}


def score(row, answer_text):
    extra = row[schema.EXTRA_INFO]
    truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
    return compute_score(row[schema.DATA_SOURCE], answer_text, truth, extra)


def test_every_question_of_a_fact_appears_under_each_objective_condition_with_one_wording(rows):
    for name in RL_FILES:
        conditions, wordings = defaultdict(set), defaultdict(set)
        for row in rows[name]:
            extra = row[schema.EXTRA_INFO]
            if extra[schema.CONDITION] in OBJECTIVE_CONDITIONS:
                conditions[extra[schema.QUESTION_ID]].add(extra[schema.CONDITION])
                wordings[extra[schema.QUESTION_ID]].add(extra[schema.QUESTION])
        assert conditions and all(found == set(OBJECTIVE_CONDITIONS) for found in conditions.values())
        assert all(len(found) == 1 for found in wordings.values())


def test_profiles_are_what_their_condition_says(rows):
    for name in RL_FILES:
        for row in rows[name]:
            extra = row[schema.EXTRA_INFO]
            truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
            held = any(mentions(extra[schema.PERSONA], answer) for answer in (truth, *extra[schema.ACCEPT]))
            expected = extra[schema.CONDITION] in (schema.ALIGNED, schema.PERSONAL, schema.AMBIGUOUS)
            assert held is expected, row
            assert bool(extra[schema.PERSONA]) is (extra[schema.CONDITION] != schema.NONE)
            assert extra[schema.PERSONA] in row[schema.PROMPT][0]["content"]
            assert extra[schema.QUESTION] in row[schema.PROMPT][1]["content"]
            assert not any(tag.tag in str(row[schema.PROMPT]) for tag in DEFAULT_MODES)


def test_aligned_and_conflicting_claims_come_from_the_same_wordings(samples):
    wordings = defaultdict(set)
    for sample in samples["rl_train"]:
        wordings[sample.item.condition].update(t for t in sample.templates if "{answer}" in t)
    assert wordings[schema.ALIGNED] == wordings[schema.CONFLICTING]
    assert not wordings[schema.UNALIGNED]


def test_right_modes(rows):
    extras = [row[schema.EXTRA_INFO] for row in rows["test"]]
    right = {extra[schema.CONDITION]: extra[schema.RIGHT_MODE] for extra in extras}
    assert right == {
        schema.NONE: GENERAL.name,
        schema.UNALIGNED: GENERAL.name,
        schema.CONFLICTING: GENERAL.name,
        schema.ALIGNED: PERSONALIZED.name,
        schema.PERSONAL: PERSONALIZED.name,
        schema.AMBIGUOUS: None,
    }


def test_sft_shows_each_item_once_in_each_mode_and_conflicting_profiles_twice_as_often(rows):
    for name in ("sft_train", "sft_val"):
        shown = Counter((row[schema.ITEM], row[MODE]) for row in rows[name])
        items = {row[schema.ITEM] for row in rows[name]}
        assert shown == Counter((item, mode) for item in items for mode in DEFAULT_MODES.names)
        counts = Counter(row[schema.CONDITION] for row in rows[name])
        ambiguous = counts.pop(schema.AMBIGUOUS)
        assert counts.pop(schema.CONFLICTING) == 2 * counts[schema.ALIGNED]
        assert len(set(counts.values())) == 1 and 0 < ambiguous <= min(counts.values())
        modes = [row[MODE] for row in rows[name]]
        assert modes != sorted(modes) and modes[::2] != [GENERAL.name] * (len(modes) // 2)


def test_sft_answers_start_with_their_tag_and_the_body_without_space(rows):
    for row in rows["sft_train"] + rows["sft_val"]:
        system, user, assistant = row[schema.MESSAGES]
        assert (system["role"], user["role"], assistant["role"]) == ("system", "user", "assistant")
        parsed = parse_mode(assistant["content"])
        assert parsed.name == row[MODE]
        assert parsed.body == parsed.body.strip() and parsed.body.startswith("<answer>\n")


# What each mode's SFT answer is worth under each condition: (general, personalized).
WORTH = {
    schema.NONE: (1, 0),
    schema.UNALIGNED: (1, 0),
    schema.ALIGNED: (1, 1),
    schema.CONFLICTING: (1, 0),
    schema.PERSONAL: (0, 1),
    schema.AMBIGUOUS: (1, 1),
}


def test_rewards_of_what_sft_shows(samples, rows):
    sft = {(row[schema.ITEM], row[MODE]): row for row in rows["sft_train"]}
    for number, sample in enumerate(samples["sft_train"]):
        item = sample.item
        for index, mode in enumerate(DEFAULT_MODES):
            result = compute_score(
                schema.QUICKSTART_SOURCE_PREFIX + item.condition,
                sft[number, mode.name][schema.MESSAGES][2]["content"],
                item.truth,
                {schema.ACCEPT: list(item.accept), schema.OPTIONS: None, schema.ASKED_MODE: schema.FREE},
            )
            assert result[schema.FORMAT] == 1 and result[f"mode_{mode.name}"] == 1
            assert result[schema.ACC] == WORTH[item.condition][index], item


def test_what_the_profile_answers_where_it_does_not_help(samples):
    for sample in samples["sft_train"]:
        if sample.item.condition == schema.NONE:
            assert sample.item.mode_answers[1] == NO_PROFILE
        if sample.item.condition == schema.UNALIGNED:
            assert sample.item.mode_answers[1] in sample.values and sample.item.mode_answers[1] in sample.item.persona


def test_rl_rows_are_graded_by_the_reward_functions_as_they_come_from_parquet(rows):
    from personadual.data_prep import chat

    for row in to_table(rows["test"], RL_SCHEMA).to_pandas().to_dict("records"):
        truth = row[schema.REWARD_MODEL][schema.GROUND_TRUTH]
        assert score(row, chat.response(GENERAL, truth.upper()))[schema.ACC] == 1
        assert score(row, chat.response(GENERAL, NO_PROFILE))[schema.ACC] == 0


def test_every_round_of_the_training_mix_has_each_condition_by_its_weight(rows):
    size = CONFIG.round_size
    orders = set()
    for start in range(0, len(rows["rl_train"]), size):
        window = [row[schema.EXTRA_INFO] for row in rows["rl_train"][start : start + size]]
        counts = Counter(extra[schema.CONDITION] for extra in window)
        assert counts == Counter({condition: n for condition, n in CONFIG.rl_weights.items() if n})
        assert len({extra[schema.QUESTION_ID] for extra in window}) == size
        orders.add(tuple(extra[schema.CONDITION] for extra in window))
    assert len(orders) > 20


def test_the_memorisation_control_ties_the_right_mode_to_the_wording_alone(samples):
    control = plan.reassign_modes(samples["rl_train"], CONFIG.seed)
    modes, conditions = defaultdict(set), defaultdict(set)
    for sample, before in zip(control, samples["rl_train"], strict=True):
        modes[sample.pattern].add(sample.item.right_mode)
        conditions[sample.item.right_mode].add(sample.item.condition)
        assert sample.item.truth == before.item.mode_answers[sample.item.right_mode]
        assert (sample.item.question, sample.item.persona) == (before.item.question, before.item.persona)
    assert len(modes) > 4 and all(len(found) == 1 for found in modes.values())
    assert set(OBJECTIVE_CONDITIONS) <= conditions[0] & conditions[1]


def test_only_the_training_mix_of_the_control_differs(rows):
    control = build_rows(replace(CONFIG, reassign_modes=True))
    assert [name for name in rows if control[name] != rows[name]] == ["rl_train"]


def test_repeated_questions_have_other_profiles(rows):
    prompts = Counter(str(row[schema.PROMPT]) for row in rows["rl_train"])
    assert max(prompts.values()) == 1


def test_validation_asks_each_item_free_and_in_each_mode(rows):
    asked, personas = defaultdict(list), defaultdict(set)
    for number, row in enumerate(rows["rl_val"]):
        extra = row[schema.EXTRA_INFO]
        assert extra[schema.INDEX] == number
        asked[extra[schema.ITEM]].append(extra[schema.ASKED_MODE])
        personas[extra[schema.ITEM]].add(str(row[schema.PROMPT]))
    assert all(found == [schema.FREE, *DEFAULT_MODES.names] for found in asked.values())
    assert all(len(found) == 1 for found in personas.values())
    assert all(row[schema.EXTRA_INFO][schema.ASKED_MODE] == schema.FREE for row in rows["test"] + rows["rl_train"])


def test_sft_and_rl_train_on_different_facts(samples):
    of_sft, of_rl = ({f for s in samples[name] for f in s.facts if "cities" not in f} for name in plan.FILES[0:3:2])
    assert of_sft and of_rl and not of_sft & of_rl


def test_a_share_of_every_relations_later_facts_is_shown_by_sft_and_nothing_else_changes(rows):
    known = build_rows(replace(CONFIG, sft_known_share=0.5))
    assert {name: known[name] for name in RL_FILES} == {name: rows[name] for name in RL_FILES}
    assert known["sft_val"] == rows["sft_val"]
    shown = defaultdict(set)
    for row in known["sft_train"]:
        shown[row[schema.QUESTION_ID]].add(row[schema.CONDITION])
    for name in RL_FILES:
        later = defaultdict(set)
        for row in rows[name]:
            extra = row[schema.EXTRA_INFO]
            if extra[schema.CONDITION] in OBJECTIVE_CONDITIONS:
                later[extra[schema.QUESTION_ID].split("-")[0]].add(extra[schema.QUESTION_ID])
        for questions in later.values():
            seen = [question for question in questions if question in shown]
            assert abs(len(seen) - len(questions) / 2) <= 0.5
            assert all(shown[question] == set(OBJECTIVE_CONDITIONS) for question in seen)
    # Their wordings and profiles are those of the training split, so that what is new later is all but the fact.
    assert {row[schema.SPLIT] for row in known["sft_train"]} == {"train"}


def test_claims_by_knowledge_are_false_about_what_sft_shows_and_true_about_the_rest():
    config = replace(CONFIG, sft_known_share=0.5, claims_by_knowledge=True)
    known = build_rows(config)
    shown = {row[schema.QUESTION_ID] for row in known["sft_train"]}
    for name in RL_FILES:
        asked, free = defaultdict(set), Counter()
        for row in known[name]:
            extra = row[schema.EXTRA_INFO]
            asked[extra[schema.CONDITION]].add(extra[schema.QUESTION_ID])
            free[extra[schema.CONDITION]] += extra[schema.ASKED_MODE] == schema.FREE
        assert asked[schema.ALIGNED] and not asked[schema.ALIGNED] & shown
        assert asked[schema.CONFLICTING] and asked[schema.CONFLICTING] <= shown
        assert asked[schema.NONE] & shown and asked[schema.NONE] - shown
        if name != "rl_train":  # two claims for every fact
            assert (
                free[schema.ALIGNED] + free[schema.CONFLICTING] == 2 * free[schema.NONE] == 2 * free[schema.UNALIGNED]
            )
    rounds = [known["rl_train"][k : k + config.round_size] for k in range(0, len(known["rl_train"]), config.round_size)]
    assert all(len({row[schema.EXTRA_INFO][schema.QUESTION_ID] for row in part}) == len(part) for part in rounds)


def test_doubtful_false_claims_have_wordings_of_their_own():
    doubtful = plan.plan_samples(replace(CONFIG, doubtful_false_claims=True))
    assert doubtful["sft_train"] == plan.plan_samples(CONFIG)["sft_train"], "SFT words true and false claims alike"
    for sample in (sample for name in RL_FILES for sample in doubtful[name]):
        if sample.item.condition == schema.CONFLICTING:
            (claim,) = [template for template in sample.templates if "{answer}" in template]
            assert claim in DOUBTFUL_CLAIMS[sample.item.question_id.split("-")[0]][sample.item.split]
    wordings = defaultdict(set)
    for sample in doubtful["rl_train"]:
        wordings[sample.item.condition].update(t for t in sample.templates if "{answer}" in t)
    assert wordings[schema.CONFLICTING] and not wordings[schema.CONFLICTING] & wordings[schema.ALIGNED]
    build_rows(replace(CONFIG, doubtful_false_claims=True))  # with its checks


@pytest.mark.parametrize("seed", [0, 7, 123456789])
def test_splits_share_nothing_whatever_the_seed(seed):
    build_rows(replace(CONFIG, seed=seed))


@pytest.mark.parametrize("what", ["facts", "values", "templates"])
def test_a_planted_leak_is_named(samples, what):
    split = by_split(samples)
    leaked = next(iter(sorted(getattr(split["train"][0], what) or getattr(split["train"][1], what))))
    split["test"][0] = replace(split["test"][0], **{what: frozenset({leaked.upper()})})
    with pytest.raises(ValueError, match=re.escape(f"train and test share {what}: '{leaked}'")):
        check_disjoint(split)


def plant(samples, condition, persona):
    sample = next(s for s in samples["test"] if s.item.condition == condition)
    persona = persona.format(truth=sample.item.truth, false=sample.false_answer)
    return replace(sample, item=replace(sample.item, persona=persona))


@pytest.mark.parametrize(
    ("condition", "persona", "message"),
    [
        (schema.NONE, "I am Ann.", "no profile"),
        (schema.UNALIGNED, "I like {truth}.", "holds the answer"),
        (schema.UNALIGNED, "", "empty"),
        (schema.ALIGNED, "I like jazz.", "lacks the answer"),
        (schema.CONFLICTING, "I like {truth} and {false}.", "holds the answer"),
        (schema.CONFLICTING, "I like jazz.", "lacks its false claim"),
        (schema.PERSONAL, "I like nothing.", "lacks the answer"),
    ],
)
def test_a_profile_that_breaks_its_condition_is_named(samples, condition, persona, message):
    with pytest.raises(ValueError, match=message):
        check_conditions([plant(samples, condition, persona)])


def test_a_false_claim_that_is_right_is_named(samples):
    sample = next(s for s in samples["test"] if s.item.condition == schema.CONFLICTING)
    item = replace(sample.item, accept=(sample.false_answer,))
    with pytest.raises(ValueError, match="holds the answer"):
        check_conditions([replace(sample, item=item)])


def test_facts_accept_what_is_also_right_and_leave_out_what_cannot_be_graded():
    facts = {fact.key: fact for country in countries(CONFIG.min_population) for fact in facts_of(country)}
    assert facts["JP", "currency"].answers == ("yen", "Japanese yen")
    assert "French" in facts["CA", "language"].aliases and "Kiev" in facts["UA", "capital"].aliases
    assert "English" not in facts["BR", "language"].answers  # spoken there, says GeoNames, but not official
    absent = {("RU", "continent"), ("BO", "capital"), ("MX", "capital"), ("BG", "currency"), ("CS", "capital")}
    assert not absent & set(facts)
    everything = list(facts.values())
    assert "English" not in false_answers(facts["BR", "language"], everything)
    assert {"yen", "euro"}.isdisjoint(false_answers(facts["JP", "currency"], [facts["JP", "currency"]]))
    assert all(len(false_answers(fact, everything)) > 3 for fact in everything)
    assert not any(fact.country[0].islower() and not fact.country.startswith("the ") for fact in everything)


def test_schemas_do_not_depend_on_the_rows(rows):
    tables = [to_table(rows[name], RL_SCHEMA) for name in RL_FILES] + [to_table([], RL_SCHEMA)]
    assert all(table.schema == RL_SCHEMA for table in tables)
    assert to_table(rows["sft_val"], SFT_SCHEMA).schema == SFT_SCHEMA
    with pytest.raises(ValueError, match="extra_column"):
        to_table([{**rows["test"][0], "extra_column": 1}], RL_SCHEMA)


def test_other_modes_give_their_names_and_tags():
    modes = Modes([Mode("facts", "<facts>"), Mode("user", "<user>")])
    rows = build_rows(replace(CONFIG, sft_items=20), modes)
    assert {row[MODE] for row in rows["sft_train"]} == {"facts", "user"}
    assert {row[schema.EXTRA_INFO][schema.RIGHT_MODE] for row in rows["test"]} == {"facts", "user", None}
    assert "[General_mode]" not in str(rows)
    with pytest.raises(ValueError, match="has answers for two"):
        build_rows(CONFIG, Modes([*modes, Mode("third", "<third>")]))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"sft_items": -1}, "sft_items: a whole number"),
        ({"sft_conflicting": 0}, "sft_conflicting: 1 or more"),
        ({"rl_weights": {"aligned": -1}}, "rl_weights"),
        ({"rl_weights": {"other": 1}}, "rl_weights"),
        ({"rl_weights": {}}, "empty"),
        ({"split_shares": {"train": 1.0}}, "split_shares"),
        ({"attributes_per_profile": 1}, "attributes_per_profile"),
        ({"sft_known_share": 1.5}, "sft_known_share: a number from 0 to 1"),
        ({"claims_by_knowledge": True}, "claims_by_knowledge: sft_known_share between 0 and 1"),
        ({"relations": ("capital", "river")}, "relations: one or more of capital"),
    ],
)
def test_bad_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        QuickstartConfig(**sizes)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"test_items_per_condition": 5000}, r"5000 facts are needed, but the test split has \d+"),
        ({"rl_rounds": 5000}, r"sft_items=320 and rl_rounds=5000: 5050 facts are needed, but the train split has \d+"),
        ({"min_population": 10**12}, "the train split has 0"),
        ({"rl_rounds": 1, "sft_known_share": 0.1, "claims_by_knowledge": True}, "no fact of RL is left"),
    ],
)
def test_more_than_there_is_is_refused_with_what_there_is(sizes, message):
    with pytest.raises(ValueError, match=message):
        build_rows(replace(CONFIG, **sizes))
