"""Generation with a stand-in engine and tokenizer: what is asked, rows, scores, and continuing."""

import json
import math
import random

import pandas as pd
import pytest

from personadual.evaluation import offline
from personadual.evaluation.columns import FIELDS
from personadual.evaluation.data import read_items
from personadual.evaluation.engine import Completion, _completion, _is_unread, stop_token_ids
from personadual.evaluation.engine import Request as EngineRequest
from personadual.evaluation.fingerprint import model_fingerprint
from personadual.evaluation.generate import Asked, Counts, Reply, RowMaker, Score, Scores, generate, pending, plan
from personadual.evaluation.load import read_generations
from personadual.evaluation.prompts import TokenPrompts
from personadual.evaluation.runfile import RunFile, meta_path, read_meta
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, Mode, Modes

MODES = [{"name": mode.name, "tag": mode.tag} for mode in DEFAULT_MODES]
SETTINGS = {"label": "m", "dtype": "float32", "modes": MODES}


class CharTokenizer:
    """One token per character."""

    eos_token_id = 0

    def encode(self, text, add_special_tokens=False):
        return [ord(character) for character in text]

    def decode(self, ids, skip_special_tokens=True, clean_up_tokenization_spaces=False):
        return "".join(chr(token) for token in ids if token)

    def apply_chat_template(self, messages, add_generation_prompt, tokenize, return_dict, suffix=""):
        assert add_generation_prompt and tokenize and not return_dict
        assert all(value is not None for message in messages for value in message.values())
        return self.encode("".join(message["content"] for message in messages) + suffix + ">")


class Pool:
    """Answers "[General_mode]\\nyes" freely, "yes" behind a prefix, a sample with its seed; log-prob -i for token i."""

    def __init__(self, die_after=None):
        self.requests, self.batches, self.die_after = [], 0, die_after

    def complete(self, batches):
        for number, batch in enumerate(batches):
            if self.die_after is not None and len(self.requests) >= self.die_after:
                raise KeyboardInterrupt
            self.requests += batch
            self.batches += 1
            yield number, [self.completion(request) for request in batch]

    def completion(self, request):
        text = ("" if request.prefix_ids else "[General_mode]\n") + "yes"
        text += "" if request.seed is None else f" {request.seed}"
        logprobs = [-float(i) for i in range(len(request.prefix_ids))] if request.scored else []
        return Completion([*map(ord, text), 0], logprobs, truncated=False, cached_tokens=2)


def grade(data_source, solution, truth, extra_info):
    return {"score": 0.9, "acc": float(truth in solution), "format": 1, "asked": extra_info["asked_mode"]}


def data_rows(count=3):
    return [
        {
            "prompt": [{"role": "user", "content": f"q{item}", "name": None if item else "x"}],
            "data_source": "quickstart_none",
            "reward_model": {"style": "rule", "ground_truth": "yes"},
            "extra_info": {
                "item": item,
                "question_id": f"q{item}",
                "condition": "none" if item % 2 else "personal",
                "right_mode": None if item == 1 else "general",
                "asked_mode": asked,
                "persona": "",
                "question": f"q{item}",
                "source": "hand",
            },
        }
        for item in range(count)
        for asked in ("free", "general")
    ]


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "test.parquet"
    pd.DataFrame(data_rows()).to_parquet(path)
    return read_items(path)


PROMPTS = TokenPrompts(CharTokenizer(), DEFAULT_MODES, {})


def run(asks, out, pool=None, chunk=4, said=None):
    counts = Counts()
    maker = RowMaker("m", 7, DEFAULT_MODES, grade, 0.7)
    answers = offline.answer(asks, pool or Pool(), PROMPTS, chunk, counts)
    generate(maker, answers, len(asks), out, (said if said is not None else []).append, counts)
    return counts


def test_items_are_answered_free_and_in_every_mode(items, tmp_path):
    assert [item.item for item in items] == [0, 1, 2]
    asks, said, pool = plan(items, DEFAULT_MODES), [], Pool()
    with RunFile(tmp_path / "out" / "m.jsonl", SETTINGS) as out:
        counts = run(asks, out, pool, said=said)
    frame = read_generations([tmp_path / "out" / "m.jsonl"])
    assert counts == Counts(9, frame["n_tokens"].sum(), 9 * 3 + 3 * (15 + 20), 18)
    assert list(frame.columns) == [field.name for field in FIELDS]
    assert list(frame["asked_mode"]) == ["free", "general", "personalized"] * 3
    first = frame.iloc[:3].set_index("asked_mode")
    assert first.loc["free", "response"] == "[General_mode]\nyes"
    assert list(first["mode"]) == ["general", "general", "personalized"]
    assert first.loc["personalized", "response"] == PERSONALIZED.prefix + "yes"
    assert list(first["n_tokens"]) == [19, len(GENERAL.prefix) + 4, len(PERSONALIZED.prefix) + 4]
    assert math.isnan(first.loc["free", "tag_logprob"])
    assert first.loc["general", "tag_logprob"] == -sum(range(len(GENERAL.prefix)))
    assert first.loc["personalized", "deciding_logprob"] == -1.0  # "[", then G or P
    assert (frame["seed"] == 7).all() and (frame["acc"] == 1.0).all()
    assert (frame["sample"] == 0).all() and (frame["temperature"] == 0).all() and frame["base_item"].isna().all()
    assert frame["right_mode"].isna().tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert [text.split(",")[0] for text in said] == ["m: 9/9 answers"]
    assert pool.requests[1].prompt_ids == [*map(ord, "q0>")]


def test_an_items_answers_are_never_in_two_batches(items):
    asks = plan(items, DEFAULT_MODES, samples=1)
    assert [len(part) for part in offline.whole_items(asks, 1)] == [6, 6, 6]
    assert [len(part) for part in offline.whole_items(asks, 7)] == [12, 6]
    assert offline.whole_items([], 7) == []


def test_samples_stand_beside_the_greedy_answer_with_a_seed_of_their_own(items, tmp_path):
    asks, pool = plan(items, DEFAULT_MODES, samples=2), Pool()
    with RunFile(tmp_path / "m.jsonl", SETTINGS) as out:
        run(asks, out, pool)
    frame = read_generations([tmp_path / "m.jsonl"])
    assert len(frame) == 3 * 3 * 3
    assert frame.groupby("sample")["temperature"].unique().map(list).to_dict() == {0: [0.0], 1: [0.7], 2: [0.7]}
    seeds = {(a.item.item, a.asked_mode, a.sample): a.seed for a in asks if a.sample}
    assert len(set(seeds.values())) == 18 and all(0 <= seed < 2**31 for seed in seeds.values())
    assert all(asked.seed is None for asked in asks if not asked.sample)
    # The same in every run and for every model.
    assert seeds[0, "free", 1] == Asked(items[0], "free", 1).seed == 1857727371
    # Log-probs are asked for once, and stand in every row with the same prompt and prefix.
    assert sum(request.scored and bool(request.prefix_ids) for request in pool.requests) == 6
    forced = frame[frame["asked_mode"] == "general"]
    assert (forced["tag_logprob"] == -sum(range(len(GENERAL.prefix)))).all()
    assert frame[frame["asked_mode"] == "free"]["tag_logprob"].isna().all()


def test_free_answers_alone(items):
    assert [asked.key for asked in plan(items[:1], DEFAULT_MODES, 1, free_only=True)] == [
        (0, "free", 0),
        (0, "free", 1),
    ]


def test_a_score_that_comes_late_or_came_before_reaches_the_samples(items):
    asks = [Asked(items[0], mode, sample) for mode in DEFAULT_MODES.names for sample in range(4)]
    rows = [{"item": 0, "asked_mode": "general", "sample": 0, "tag_logprob": -1.0, "deciding_logprob": -0.5}]
    score = Score(-3.0, -2.0)
    answers = [(asked, Reply("r", 1, False, score if asked.sample == 0 else Score())) for asked in asks[1:]]
    random.Random(1).shuffle(answers)
    scores = Scores(rows)
    found = [answer for start in range(0, 7, 2) for answer in scores.filled(answers[start : start + 2])]
    assert sorted(asked.key for asked, _ in found) == sorted(asked.key for asked in asks[1:])
    for asked, reply in found:
        assert reply.score == (Score(-1.0, -0.5) if asked.asked_mode == "general" else score)


def test_without_log_probs_the_scores_are_null(items, tmp_path):
    asks = plan(items[:1], DEFAULT_MODES, samples=1)
    with RunFile(tmp_path / "m.jsonl", SETTINGS) as out:
        maker = RowMaker("m", 0, DEFAULT_MODES, grade, 1.0)
        answers = [[(asked, Reply("yes", 3, True))] for asked in reversed(asks)]
        generate(maker, answers, len(asks), out, print, Counts())
    frame = read_generations([tmp_path / "m.jsonl"])
    assert len(frame) == 6 and frame["tag_logprob"].isna().all() and frame["truncated"].all()
    assert (frame["mode"] == "invalid").all()


def test_a_run_continues_where_it_stopped(items, tmp_path):
    path, asks = tmp_path / "m.jsonl", plan(items, DEFAULT_MODES, samples=1)
    with pytest.raises(KeyboardInterrupt), RunFile(path, SETTINGS) as out:
        run(asks, out, Pool(die_after=6), chunk=2)
    with open(path, "ab") as file:
        file.write(b'{"model": "m", "item": 2, "resp')
    pool = Pool()
    with RunFile(path, SETTINGS) as out:
        assert len(out.rows) == 6
        out.add_session({"command": "x"})
        run(pending(asks, out.rows), out, pool, chunk=2)
        out.extend_session({"answers": 12})
    assert len(pool.requests) == 12
    frame = read_generations([path])
    assert len(frame) == 18 and not frame.duplicated(["item", "asked_mode", "sample"]).any()
    assert read_meta(path)["sessions"] == [{"command": "x", "answers": 12}]
    with RunFile(path, SETTINGS) as out:
        assert pending(asks, out.rows) == []


def test_more_samples_can_be_added_later(items, tmp_path):
    with RunFile(tmp_path / "m.jsonl", SETTINGS) as out:
        run(plan(items, DEFAULT_MODES), out)
    with RunFile(tmp_path / "m.jsonl", SETTINGS) as out:
        todo = pending(plan(items, DEFAULT_MODES, samples=1), out.rows)
        assert {asked.sample for asked in todo} == {1} and len(todo) == 9
        run(todo, out)
    frame = read_generations([tmp_path / "m.jsonl"])
    assert frame[frame["asked_mode"] != "free"]["tag_logprob"].notna().all()


def test_rows_from_before_there_were_samples_are_greedy_ones(items, tmp_path):
    path, asks = tmp_path / "m.jsonl", plan(items, DEFAULT_MODES)
    with RunFile(path, SETTINGS) as out:
        run(asks, out)
    added = ("sample", "temperature", "base_item")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    old = [{name: value for name, value in row.items() if name not in added} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    frame = read_generations([path])
    assert (frame["sample"] == 0).all() and (frame["temperature"] == 0).all()
    with RunFile(path, SETTINGS) as out:
        assert pending(asks, out.rows) == []
    path.write_text(json.dumps(old[0] | {"sample": 1.5}) + "\n")
    with pytest.raises(ValueError, match=r"field 'sample' must be int, found 1.5"):
        read_generations([path])


def test_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "m.jsonl"
    with RunFile(path, SETTINGS) as out:
        out.append([{"a": 1}])
    with pytest.raises(ValueError, match=r"dtype: 'float32' there, 'bfloat16' now") as caught:
        RunFile(path, {**SETTINGS, "dtype": "bfloat16", "seed": 1})
    assert "seed: None there, 1 now" in str(caught.value) and "modes" not in str(caught.value)
    assert json.loads(path.read_text()) == {"a": 1}


def test_an_empty_file_may_start_again_with_other_settings(tmp_path):
    RunFile(tmp_path / "m.jsonl", SETTINGS).__exit__()
    with RunFile(tmp_path / "m.jsonl", {"label": "x"}) as out:
        assert out.meta["settings"] == {"label": "x"}


def test_two_runs_never_write_to_one_file(tmp_path):
    with RunFile(tmp_path / "m.jsonl", SETTINGS), pytest.raises(BlockingIOError, match="another run"):
        RunFile(tmp_path / "m.jsonl", SETTINGS)


def test_rows_without_settings_and_broken_lines_are_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"has rows but no m.meta.json"):
        RunFile(path, SETTINGS)
    meta_path(path).write_text(json.dumps({"settings": SETTINGS}))
    path.write_text("{}\n{no\n{}\n")
    with pytest.raises(ValueError, match=r"m.jsonl:2: not JSON"):
        RunFile(path, SETTINGS)


def test_a_lone_surrogate_in_an_answer_is_graded_and_written_as_text(items, tmp_path):
    path, asks = tmp_path / "m.jsonl", plan(items[:1], DEFAULT_MODES, free_only=True)
    with RunFile(path, SETTINGS) as out:
        maker = RowMaker("m", 0, DEFAULT_MODES, grade, 1.0)
        generate(maker, [[(asked, Reply("yes\ud800", 3, True)) for asked in asks]], 1, out, print, Counts())
    (row,) = read_generations([path]).to_dict("records")
    assert (row["response"], row["acc"]) == ("yes?", 1.0)


def test_three_modes_decide_at_their_first_difference():
    prompts = TokenPrompts(CharTokenizer(), Modes([*DEFAULT_MODES, Mode("terse", "[Gist]")]), {"suffix": "!"})
    assert prompts.deciding == 1
    assert prompts.longest_prefix == len(PERSONALIZED.prefix)


class Output:
    """As vLLM's, of a prompt of tokens 1, 2, 3 and a prefix of 4, 5."""

    def __init__(self, logprobs, cached=0):
        entry = lambda token, logprob: {token: type("Logprob", (), {"logprob": logprob})}  # noqa: E731
        self.prompt_logprobs = [None] * (len(logprobs) == 5) + [
            entry(token, logprob) for token, logprob in zip((4, 5), logprobs[-2:], strict=True)
        ]
        self.num_cached_tokens = cached
        self.outputs = [type("Choice", (), {"token_ids": (6, 7), "finish_reason": "length"})]


def test_prefix_log_probs_are_read_from_the_end_and_only_where_they_were_computed():
    request = EngineRequest([1, 2, 3], [4, 5])
    found = _completion(request, Output([-0.25, -math.inf], cached=2))
    assert found == Completion([6, 7], [-0.25, -9999.0], truncated=True, cached_tokens=2)
    # The first log-prob comes out of the token before the prefix.
    assert [_is_unread(request, Output([0.0, 0.0], cached)) for cached in (0, 2, 3, 4)] == [False, False, True, True]
    unscored = EngineRequest([1, 2, 3], [4, 5], scored=False)
    assert (
        not _is_unread(unscored, Output([0.0, 0.0], 4)) and _completion(unscored, Output([0, 0])).prefix_logprobs == []
    )


def test_fingerprint_sees_weights_and_config(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(200_000))
    before = model_fingerprint(tmp_path)
    assert before == model_fingerprint(tmp_path)
    changed = bytearray(200_000)
    changed[150_000] = 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    assert model_fingerprint(tmp_path) != before
    with pytest.raises(ValueError, match="no model folder"):
        model_fingerprint(tmp_path / "none")


def test_stop_ids_join_tokenizer_and_generation_config(tmp_path):
    assert stop_token_ids(CharTokenizer(), tmp_path) == [0]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [5, 0]}')
    assert stop_token_ids(CharTokenizer(), tmp_path) == [0, 5]
