"""Many requests to a real HTTP server that fails on demand."""

import asyncio
import socket
import threading
from itertools import pairwise

import pytest
from chat_server import ChatServer, Reply
from hypothesis import given
from hypothesis import strategies as st

from personadual.data_prep.record import Rejected
from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.client import ask_all
from personadual.data_prep.served.config import ServedConfig
from personadual.data_prep.served.exchange import Answer, Failure, Outcome, Request
from personadual.data_prep.served.failures import ServedError
from personadual.data_prep.served.progress import Tally
from personadual.data_prep.served.run import LEAST_FAILURES, WINDOW, Run
from personadual.data_prep.served.spacing import Spacing

SOON = {"Retry-After": "0.01"}


def request(text):
    return Request(f"id {text}", ({"role": "user", "content": text},), about=text)


def requests(count):
    return [request(f"q{number}") for number in range(count)]


def config(url, **changes):
    return ServedConfig.from_mapping({"base_url": url, "model": "m", "concurrency": 4, "max_attempts": 3, **changes})


def ask(server, path, asked, tally=None, **changes):
    url = server if isinstance(server, str) else server.url
    with AnswerCache(path / "cache") as cache:
        return list(ask_all(asked, config(url, **changes), cache, progress=False, tally=tally))


def kept(path):
    with AnswerCache(path / "cache") as cache:
        return len(cache)


def test_outcomes_come_in_order_and_a_second_run_needs_no_server(tmp_path):
    asked = requests(30)
    slow = threading.Event()  # the first is answered last
    with ChatServer(lambda prompt, _: Reply(f"re: {prompt}", wait_for=slow.wait if prompt == "q0" else None)) as server:
        threading.Timer(0.05, slow.set).start()
        first = ask(server, tmp_path, asked)
        assert [outcome.request for outcome in first] == asked
        assert [outcome.text() for outcome in first] == [f"re: q{number}" for number in range(30)]
        assert set(server.hits.values()) == {1} and not any(outcome.cached for outcome in first)
    tally = Tally()
    second = ask(server, tmp_path, asked, tally, api_key_env="A_VARIABLE_THAT_IS_NOT_SET")
    assert [outcome.reply for outcome in second] == [outcome.reply for outcome in first]
    assert all(outcome.cached for outcome in second) and (tally.asked, tally.cached, tally.done) == (0, 30, 30)


def test_a_second_run_asks_only_for_what_is_missing(tmp_path):
    with ChatServer() as server:
        ask(server, tmp_path, requests(5))
        tally = Tally()
        outcomes = ask(server, tmp_path, requests(9), tally)
        assert server.hits == {f"q{number}": 1 for number in range(9)}
        assert [outcome.cached for outcome in outcomes] == [True] * 5 + [False] * 4
        assert (tally.asked, tally.cached) == (4, 5)


def test_the_same_request_twice_is_asked_once(tmp_path):
    tally = Tally()
    with ChatServer() as server:
        outcomes = ask(server, tmp_path, [request("a"), request("a"), request("b"), request("a")], tally)
    assert [outcome.text() for outcome in outcomes] == ["re: a", "re: a", "re: b", "re: a"]
    assert server.hits == {"a": 1, "b": 1} and (tally.asked, tally.cached) == (2, 2) and kept(tmp_path) == 2


def test_what_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    monkeypatch.setenv("MY_KEY", "mine")
    with ChatServer() as server:
        ask(server, tmp_path, [request("a")], extra_body={"chat_template_kwargs": {"enable_thinking": False}})
        ask(server, tmp_path, [request("b")], api_key_env="MY_KEY", temperature=None, seed=None, max_tokens=7)
    assert server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "a"}],
            "temperature": 0.0,
            "max_tokens": 1024,
            "chat_template_kwargs": {"enable_thinking": False},
        },
        {"model": "m", "messages": [{"role": "user", "content": "b"}], "max_tokens": 7},
    ]
    assert server.authorizations == ["Bearer EMPTY", "Bearer mine"]


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=429, message="slow down", headers=SOON),
        Reply(status=500, headers=SOON),
        Reply(status=503, headers=SOON),
        Reply(drop=True),
    ],
    ids=["429", "500", "503", "dropped"],
)
def test_a_passing_fault_is_retried(tmp_path, fault):
    with ChatServer(lambda prompt, attempt: fault if attempt == 1 else Reply("fine")) as server:
        (outcome,) = ask(server, tmp_path, [request("a")])
    assert outcome.reply == Answer("fine", "stop") and server.hits["a"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Reply(status=429, message="slow down", headers=SOON), "rate limit of the server"),
        (Reply(status=500, message="oh", headers=SOON), "server error"),
        (Reply(drop=True), "server not reachable"),
    ],
    ids=["429", "500", "dropped"],
)
def test_a_fault_that_stays_is_a_counted_failure_and_never_an_answer(tmp_path, fault, reason):
    tally = Tally()
    with ChatServer(lambda prompt, _: fault if prompt == "q1" else Reply("fine")) as server:
        outcomes = ask(server, tmp_path, requests(3), tally, max_attempts=2)
        assert server.hits == {"q0": 1, "q1": 2, "q2": 1} and kept(tmp_path) == 2
        assert tally.failed == {reason: 1} and tally.asked == 2
        with pytest.raises(Rejected) as rejected:
            outcomes[1].text()
        assert rejected.value.reason == reason
        assert [outcomes[0].text(), outcomes[2].text()] == ["fine", "fine"]
        server.script = lambda prompt, _: Reply("at last")
        assert ask(server, tmp_path, requests(3))[1].text() == "at last"
        assert server.hits == {"q0": 1, "q1": 3, "q2": 1}


def test_a_request_that_takes_too_long_fails(tmp_path):
    released = threading.Event()
    with ChatServer(lambda prompt, _: Reply(wait_for=released.wait)) as server:
        (outcome,) = ask(server, tmp_path, [request("a")], timeout=0.1, max_attempts=1)
        released.set()
    assert outcome.reply == Failure("request timed out", "no answer within 0.1 s")


@pytest.mark.parametrize(
    ("status", "said", "fix"),
    [
        (404, "The model `m` does not exist.", r"Check served\.model \('m' is not served there"),
        (401, "Unauthorized", r"in served\.api_key_env"),
        (400, "temperature is not supported", r"Check temperature, max_tokens, seed and extra_body"),
        (422, "extra fields", r"Check temperature, max_tokens, seed and extra_body"),
    ],
)
def test_a_refusal_of_all_requests_stops_at_once_and_keeps_what_came(tmp_path, status, said, fix):
    with ChatServer() as server:
        ask(server, tmp_path, requests(3))
        server.script = lambda prompt, _: Reply(status=status, message=said)
        with pytest.raises(ServedError, match=fix) as error:
            ask(server, tmp_path, requests(500), concurrency=1)
    message = str(error.value)
    assert said.rstrip(".") in message and str(status) in message and "497 of 500 are left" in message
    assert sum(server.hits.values()) == 4 and kept(tmp_path) == 3


def test_a_refusal_does_not_wait_for_slower_requests_before_it(tmp_path):
    never = threading.Event()
    script = {"q0": Reply(wait_for=never.wait), "q1": Reply(status=404, message="no such model")}
    with ChatServer(lambda prompt, _: script[prompt]) as server:
        with pytest.raises(ServedError, match="no such model"):
            ask(server, tmp_path, requests(2))
        never.set()


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (400, "This model's maximum context length is 64 tokens. However, ...", "longer than the model's context"),
        (400, "The prompt is longer than the maximum model length of 64.", "longer than the model's context"),
        (413, "", "longer than the model's context"),
        (400, "stopped by content_filter", "content filter"),
    ],
)
def test_a_refusal_of_one_request_is_its_own(tmp_path, status, said, reason):
    fault = Reply(status=status, message=said)
    with ChatServer(lambda prompt, _: fault if prompt == "q1" else Reply("fine")) as server:
        outcomes = ask(server, tmp_path, requests(3))
    assert isinstance(outcomes[1].reply, Failure) and reason in outcomes[1].reply.reason
    assert server.hits["q1"] == 1 and kept(tmp_path) == 2


def test_any_number_of_requests_that_are_too_long_do_not_stop_the_others(tmp_path):
    fault = Reply(status=400, message="maximum context length")
    with ChatServer(lambda prompt, _: Reply("fine") if prompt == "q29" else fault) as server:
        outcomes = ask(server, tmp_path, requests(30))
    assert outcomes[29].text() == "fine" and 30 > LEAST_FAILURES


@pytest.mark.parametrize(
    "hostile",
    [
        Reply(raw=b"<html>a proxy's page</html>"),
        Reply(raw=b"{"),
        Reply(raw=b"[]"),
        Reply(raw=b"null"),
        Reply(raw=b'{"choices": []}'),
        Reply(raw=b'{"choices": null}'),
        Reply(raw=b'{"choices": [{"message": null}]}'),
        Reply(raw=b"\xff\xfe"),
        Reply(text=7),
        Reply(text=["a", "list"]),
        Reply(finish_reason=3),
        Reply("half of it", finish_reason="abort"),
    ],
    ids=str,
)
def test_a_reply_that_is_no_completion_is_never_kept(tmp_path, hostile):
    with ChatServer(lambda prompt, _: hostile if prompt == "q0" else Reply("fine")) as server:
        outcomes = ask(server, tmp_path, requests(2))
    assert isinstance(outcomes[0].reply, Failure) and outcomes[0].reply.reason == "reply is no chat completion"
    assert outcomes[1].text() == "fine" and kept(tmp_path) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("half", finish_reason="length"), "completion cut at max_tokens"),
        (Reply(" \n"), "empty completion"),
        (Reply(None), "empty completion"),
        (Reply("a", finish_reason="content_filter"), "completion stopped by the server's content filter"),
        (Reply("a", finish_reason="tool_calls"), "completion not ended by the model"),
        (Reply("a \ud800"), "completion is no valid text"),
        (Reply("a \0"), "completion is no valid text"),
    ],
    ids=["cut", "space", "null", "filter", "tools", "surrogate", "nul"],
)
def test_a_completion_that_cannot_be_used_is_kept_with_its_end_and_rejected(tmp_path, reply, reason):
    with ChatServer(lambda prompt, _: reply) as server:
        (outcome,) = ask(server, tmp_path, [request("a")])
        (again,) = ask(server, tmp_path, [request("a")])
    assert outcome.reply == again.reply == Answer(reply.text or "", reply.finish_reason) and server.hits["a"] == 1
    for found in (outcome, again):
        with pytest.raises(Rejected) as rejected:
            found.text()
        assert rejected.value.reason == reason and not rejected.value.malformed


def test_a_missing_finish_reason_is_no_fault(tmp_path):
    with ChatServer(lambda prompt, _: Reply(" text ", finish_reason=None)) as server:
        (outcome,) = ask(server, tmp_path, [request("a")])
    assert outcome.text() == "text"


def test_text_that_cannot_be_sent_is_a_failure_of_its_own(tmp_path):
    with ChatServer() as server:
        outcomes = ask(server, tmp_path, [request("a \udfff"), request("b \0"), request("c")])
    assert [isinstance(outcome.reply, Failure) for outcome in outcomes] == [True, True, False]
    assert set(server.hits) == {"c"}


def test_a_key_that_is_not_set_stops_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with ChatServer() as server:
        with pytest.raises(ServedError, match="NO_SUCH_KEY, which is not set"):
            ask(server, tmp_path, requests(3), api_key_env="NO_SUCH_KEY")
    assert not server.hits


def test_a_server_that_is_not_there_stops_after_some_failures(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        tally = Tally()
        with pytest.raises(ServedError, match=r"Is the server running \(vllm serve m\)") as error:
            ask(url, tmp_path, requests(400), tally, max_attempts=1)
    assert f"the last {LEAST_FAILURES} requests" in str(error.value) and "All answers so far are kept" in str(
        error.value
    )
    assert tally.done < 2 * LEAST_FAILURES


def test_failures_with_answers_between_them_do_not_stop(tmp_path):
    fault = Reply(status=500, message="oh", headers=SOON)
    with ChatServer(lambda prompt, _: fault if int(prompt[1:]) % 2 else Reply("fine")) as server:
        tally = Tally()
        ask(server, tmp_path, requests(40), tally, max_attempts=1, concurrency=1)
    assert (tally.asked, tally.failed.total()) == (20, 20)


def test_as_many_requests_as_allowed_run_at_once(tmp_path):
    together = threading.Barrier(4)  # breaks if fewer ever come
    with ChatServer(lambda prompt, _: Reply(wait_for=lambda: together.wait(20))) as server:
        ask(server, tmp_path, requests(20))
    assert server.most_at_once == 4 and not together.broken


def test_requests_are_drawn_as_they_are_needed(tmp_path):
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield request(f"q{drawn}")

    with ChatServer() as server, AnswerCache(tmp_path / "cache") as cache:
        outcomes = ask_all(endless(), config(server.url), cache, progress=False)
        for _ in range(100):
            next(outcomes)
            assert drawn <= 100 + WINDOW * 4
        outcomes.close()  # cancels what is under way, and keeps what has come
        assert len(cache) >= 100


def test_an_error_of_the_caller_leaves_nothing_running(tmp_path):
    def broken():
        yield from requests(3)
        raise RuntimeError("the caller's own")

    with ChatServer() as server, AnswerCache(tmp_path / "cache") as cache:
        with pytest.raises(RuntimeError, match="the caller's own"):
            list(ask_all(broken(), config(server.url), cache, progress=False))
        assert len(list(ask_all(requests(3), config(server.url), cache, progress=False))) == 3


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_a_loop_that_ends_early_says_what_is_left(raised, tmp_path, capsys):
    with ChatServer() as server, AnswerCache(tmp_path / "cache") as cache:
        with pytest.raises(raised):
            for outcome in ask_all(requests(30), config(server.url, concurrency=1), cache, progress=False):
                raise raised(outcome.text())
        path, done = cache.path, len(cache)
    assert 1 <= done < 30
    assert f"All answers so far are kept in {path}. {30 - done} of 30 are left." in capsys.readouterr().err


def test_the_bar_counts_done_cached_and_failed(tmp_path, capsys):
    with ChatServer(lambda prompt, _: Reply(status=500, headers=SOON) if prompt == "q3" else Reply()) as server:
        ask(server, tmp_path, requests(2))
        with AnswerCache(tmp_path / "cache") as cache:
            tally = Tally(asked=50, cached=50)  # of earlier calls
            list(ask_all(iter(requests(4)), config(server.url, max_attempts=1), cache, total=4, tally=tally))
    assert (tally.asked, tally.cached, tally.failed) == (51, 52, {"server error": 1})
    last = capsys.readouterr().err.split("\r")[-1]
    assert "4/4" in last and "cached=2" in last and "failed=1" in last


def test_retries_keep_the_rate_limit_too(tmp_path):
    second = threading.Event()

    def script(prompt, attempt):
        if server.hits.total() > 1:
            second.set()
        return Reply(status=500, headers=SOON)

    async def main():
        with AnswerCache(tmp_path / "cache") as cache:
            limited = config(server.url, requests_per_minute=1)
            outcomes = Run(limited, cache, False, requests(1), None, None).outcomes()
            asked = asyncio.ensure_future(outcomes.__anext__())
            # One request a minute: none of the two retries may come now.
            come = await asyncio.to_thread(second.wait, 0.5)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            return come

    with ChatServer(script) as server:
        assert not asyncio.run(main()) and server.hits == {"q0": 1}


@given(
    per_minute=st.floats(0.5, 1e4),
    gaps=st.lists(st.floats(0, 100), min_size=2, max_size=40),
)
def test_requests_are_never_closer_than_the_rate_allows(per_minute, gaps):
    spacing, now, sent = Spacing(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        wait = spacing.wait(now)
        assert wait >= 0
        sent.append(now + wait)
    distance = 60 / per_minute
    assert all(later - earlier >= distance * (1 - 1e-9) - 1e-6 for earlier, later in pairwise(sent))
    # No request waits longer than it must: it goes at once, or exactly one distance behind the one before.
    assert sent[0] == gaps[0]


def test_the_spacing_by_hand_and_without_a_limit():
    spacing = Spacing(60)
    assert [spacing.wait(now) for now in (0.0, 0.0, 0.5, 10.0, 10.0)] == [0.0, 1.0, 1.5, 0.0, 1.0]
    assert [Spacing(None).wait(now) for now in (0.0, 0.0, 0.0)] == [0.0, 0.0, 0.0]


def test_an_outcome_without_a_server_says_what_it_is():
    assert Outcome(request("a"), Answer(" x ", "stop")).text() == "x"
