"""Traces and personas from a real ``vllm serve``: a tiny random model in the test, a model of your own by hand:

    PYTHONPATH=tests python tests/e2e/test_served_vllm.py MODEL_FOLDER OUT_FOLDER [QUESTIONS]

By hand it writes personas and traces for facts about countries, asks again without the server, and prints what was
kept and why the rest was dropped.
"""

from __future__ import annotations

import random
import socket
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import running
from tiny_model import build_tiny_model

from personadual import schema
from personadual.data_prep.quickstart import facts
from personadual.data_prep.record import Record
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Failure, Outcome, Request
from personadual.data_prep.served.failures import ServedError
from personadual.data_prep.served.personas import make_personas, persona_job
from personadual.data_prep.served.prompts import TRACE_FILTER, TRACE_GENERAL, TRACE_PERSONALIZED
from personadual.data_prep.served.service import Service, open_service
from personadual.data_prep.served.traces import TraceJob, make_traces, passed_filter, trace_request
from personadual.modes import GENERAL, PERSONALIZED
from personadual.reward_fns import Settings

NAME = "served-model"
SERVE = Path(__file__).parents[2] / "examples" / "serve_cpu.sh"
CAPITAL_RECORD = Record(
    "capital-fr", "Which city is the capital of France?", "B", "flan", "CC0", "e2e", options=("Lyon", "Paris", "Nice")
)


@contextmanager
def vllm_serve(model: Path, log: Path, max_model_len: int) -> Iterator[str]:
    """The address of a ``vllm serve`` that is ready; it is gone when the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        *("bash", str(SERVE), str(model)),
        *("--host", "127.0.0.1", "--port", str(port), "--served-model-name", NAME),
        *("--dtype", "float32", "--max-model-len", str(max_model_len)),
    ]
    with running(command, log, {"PYTHON": sys.executable}) as run:
        run.wait_until(lambda: is_up(address), 400)
        yield f"{address}/v1"


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def general(record: Record, persona: str = "") -> TraceJob:
    return TraceJob(record, persona, schema.UNALIGNED if persona else schema.NONE, GENERAL, TRACE_GENERAL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a real server said: to six prompts, to one that is too long, and to a wrong model name."""
    folder = tmp_path_factory.mktemp("served")
    build_tiny_model(folder / "model")
    found: dict = {"cache": folder / "cache.jsonl"}
    with vllm_serve(folder / "model", folder / "serve.log", max_model_len=2048) as url:
        found["config"] = config = ServedConfig(base_url=url, model=NAME, max_tokens=24)
        with open_service(config, found["cache"], progress=False) as service:
            found["first"] = list(service.ask(requests(service)))
            found["tally"] = service.tally
            too_long = Request("long", ({"role": "user", "content": "a b c d e f g h " * 2000},))
            (found["too_long"],) = service.ask([too_long])
        wrong = ServedConfig(base_url=url, model="no-such-model", max_tokens=24)
        with open_service(wrong, folder / "wrong.jsonl", progress=False) as service:
            with pytest.raises(ServedError) as error:
                list(service.ask(requests(service)))
            found["wrong"] = str(error.value)
    return found


def requests(service: Service) -> list[Request]:
    personas = ["", *(f"I am a nurse and have {number} cats." for number in range(5))]
    return [trace_request(general(CAPITAL_RECORD, persona), service.prompts) for persona in personas]


def test_all_prompts_are_answered_and_cut_ones_are_told_apart(served: dict) -> None:
    assert (served["tally"].asked, served["tally"].cached) == (6, 0)
    finishes = Counter(outcome.reply.finish_reason for outcome in served["first"])
    assert set(finishes) <= {"stop", "length"} and finishes["length"]  # a random model seldom ends by itself
    assert all(outcome.reply.text for outcome in served["first"])


def test_a_second_run_takes_everything_from_the_cache_when_the_server_is_gone(served: dict) -> None:
    with open_service(served["config"], served["cache"], progress=False) as service:
        again = list(service.ask(requests(service)))
        assert (service.tally.asked, service.tally.cached) == (0, 6)
    assert [outcome.reply for outcome in again] == [outcome.reply for outcome in served["first"]]


def test_a_prompt_that_is_too_long_fails_alone(served: dict) -> None:
    outcome: Outcome = served["too_long"]
    assert isinstance(outcome.reply, Failure), outcome
    assert outcome.reply.reason == "prompt and max_tokens longer than the model's context"


def test_a_wrong_model_name_is_said_in_the_servers_words(served: dict) -> None:
    assert "no-such-model" in served["wrong"] and "does not exist" in served["wrong"]
    assert "Check served.model" in served["wrong"]


def country_records(number: int) -> list[Record]:
    """Questions for capitals with three options each."""
    found = [fact for country in facts.countries(3_000_000) for fact in facts.facts_of(country)]
    capitals = [fact for fact in found if fact.relation == facts.CAPITAL][:number]
    records = []
    for fact in capitals:
        rng = random.Random(f"options/{fact.iso}")
        others = [other.answer for other in capitals if other.answer not in (*fact.answers, *fact.near)]
        options = rng.sample([*rng.sample(others, 2), fact.answer], 3)
        letter = "ABC"[options.index(fact.answer)]
        question = f"Which city is the capital of {fact.country}?"
        records.append(Record(f"capital-{fact.iso}", question, letter, "flan", "CC-BY-4.0", "e2e", tuple(options)))
    return records


def by_hand(model: Path, out: Path, number: int) -> None:
    """Personas and traces of ``number`` questions, then the same without the server."""
    records = country_records(number)
    out.mkdir(parents=True, exist_ok=True)
    lines: list[dict] = []
    with vllm_serve(model, out / "serve.log", max_model_len=2048) as url:
        config = ServedConfig(base_url=url, model=NAME, max_tokens=320, timeout=300)
        started = time.monotonic()
        lines.append(everything(records, config, out / "cache.jsonl"))
        print(f"with the server: {time.monotonic() - started:.1f} s")
    started = time.monotonic()
    lines.append(everything(records, config, out / "cache.jsonl"))
    print(f"from the cache, no server: {time.monotonic() - started:.1f} s")
    for line in lines:
        for stage, result in line.items():
            print(f"{stage:<14} {result}")
    assert lines[0]["kept"] == lines[1]["kept"] and lines[1]["requests"]["asked"] == 0


def everything(records: list[Record], config: ServedConfig, cache: Path) -> dict:
    """What each stage kept and dropped."""
    result: dict = {}
    with open_service(config, cache) as service:
        personas: dict[tuple[str, str], str] = {}
        for condition in (schema.ALIGNED, schema.CONFLICTING):
            counts: Counter[str] = Counter()
            jobs = [persona_job(record, condition, 1) for record in records]
            for job, persona in make_personas(jobs, service, counts, total=len(jobs)):
                personas[job.record.question_id, condition] = persona
            result[condition] = {"kept": len(jobs) - counts.total(), **counts}
        # Where the model wrote none, a plain one, so that every stage has something to do.
        aligned = {
            record.question_id: personas.get((record.question_id, schema.ALIGNED))
            or f"I am a teacher. In my class we learnt that {record.answer_text} is the capital of our neighbours."
            for record in records
        }
        counts = Counter()
        filters = [
            TraceJob(record, aligned[record.question_id], schema.ALIGNED, PERSONALIZED, TRACE_FILTER)
            for record in records
        ]
        passed = passed_filter(filters, service, Settings(), counts, len(filters))
        result["filter"] = {"kept": len(passed), **counts}
        kept: list[str] = []
        personalized = [
            TraceJob(job.record, job.persona, job.condition, PERSONALIZED, TRACE_PERSONALIZED)
            for job in filters
            if job.record.question_id in passed
        ]
        for stage, jobs_of_stage in (("general", [general(r) for r in records]), ("personalized", personalized)):
            counts = Counter()
            traces = list(make_traces(jobs_of_stage, service, Settings(), counts, total=len(jobs_of_stage)))
            result[stage] = {"kept": len(traces), **counts}
            kept += [trace.job.mode.prefix + trace.body for trace in traces]
        tally = service.tally
        result["requests"] = {"asked": tally.asked, "cached": tally.cached, "failed": dict(tally.failed)}
    result["kept"] = [*personas.values(), *kept]
    return result


if __name__ == "__main__":
    by_hand(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 24)
