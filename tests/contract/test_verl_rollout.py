"""What the forced rollouts take for granted about verl's agent loops and LLM clients."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest
import verl
from verl.experimental.agent_loop import agent_loop
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.experimental.reward_loop import reward_loop
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.utils import tensordict_utils as tu
from verl.workers.rollout import llm_server
from verl.workers.rollout.replica import TokenOutput

from personadual import schema
from personadual.rollout import DualModeAgentLoop
from personadual.rollout_manager import DualAgentLoopManager


def calls(function, name: str) -> list[ast.Call]:
    """The calls of ``<anything>.name(...)`` or ``name(...)`` in the source of ``function``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in found if getattr(node.func, "attr", getattr(node.func, "id", None)) == name]


def keywords(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def test_the_manager_gets_the_whole_batch_as_its_only_argument():
    for manager in (agent_loop_tq.AgentLoopManagerTQ, DualAgentLoopManager):
        names = list(inspect.signature(manager.generate_sequences).parameters)
        assert names == ["self", "prompts"], f"rollout_manager.DualAgentLoopManager overrides it; {manager} differs"


def test_the_phase_is_only_known_to_the_manager():
    source = inspect.getsource(agent_loop_tq)
    assert 'batch.pop("validate"' in source, (
        "verl no longer drops `validate` before the agent loop: rollout_manager could be replaced by reading it"
    )


def test_non_tensor_data_of_the_batch_reaches_each_prompt():
    source = inspect.getsource(agent_loop_tq)
    assert "isinstance(v, NonTensorData)" in source and "prompt[k] = v.data" in source, (
        f"rollout_manager hands the phase over as NonTensorData under {schema.PHASE!r}"
    )
    assert list(inspect.signature(tu.assign_non_tensor_data).parameters) == ["tensor_dict", "key", "val"], (
        "rollout_manager writes phase and agent_name with it"
    )


def test_a_session_is_told_its_number_and_its_row():
    source = inspect.getsource(agent_loop_tq)
    assert "session_id=i, **prompt" in source, "rollout.DualModeAgentLoop chooses the mode by session_id"
    assert "for i in range(n)" in source, "sessions of a prompt are numbered 0 .. n - 1, which schedule.py balances"


def test_agent_loops_ask_a_reward_worker_of_the_managers_list():
    worker = agent_loop.AgentLoopWorker
    source = inspect.getsource(getattr(worker, "__ray_actor_class__", worker)._compute_score)
    assert "random.choice(self.reward_loop_worker_handles)" in source and ".compute_score.remote(data)" in source, (
        "reward_workers.RewardWorkers stands for the list and for a worker"
    )
    (made,) = calls(reward_loop.RewardLoopManager._init_reward_loop_workers, "remote")
    assert [ast.unparse(argument) for argument in made.args] == ["self.config", "self.reward_router_address"], (
        "reward_workers.Replacement makes a worker as verl does, of the configuration and a reward model's address"
    )


def test_reward_workers_load_the_tokenizer_with_code_of_its_folder():
    (call, *_) = calls(reward_loop.RewardLoopWorker._init_reward_fn, "hf_tokenizer")
    trusted = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert trusted == {"trust_remote_code": "True"}, (
        "verl asks its setting now: preflight.setup.code_findings and its line in docs/reliability.md can go"
    )


def test_an_agent_name_in_the_batch_is_not_overwritten():
    assert 'if "agent_name" not in batch' in inspect.getsource(agent_loop_tq), (
        "rollout_manager names our agent loop in the batch"
    )


def test_every_sample_has_a_loop_of_its_own():
    worker = agent_loop.AgentLoopWorker
    worker = getattr(worker, "__ray_actor_class__", worker)
    source = inspect.getsource(worker._run_agent_loop)
    assert "hydra.utils.instantiate" in source and "server_manager=" in source, (
        "rollout.DualModeAgentLoop replaces self.server_manager, which must belong to one sample"
    )
    (run,) = calls(worker._run_agent_loop, "run")
    assert None in keywords(run), "agent_loop.run(sampling_params, **kwargs) passes the row on"


def test_the_single_turn_loop_takes_any_column_of_the_row():
    for loop in (SingleTurnAgentLoop, DualModeAgentLoop):
        parameters = inspect.signature(loop.run).parameters
        assert "sampling_params" in parameters
        kinds = [parameter.kind for parameter in parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD in kinds, "rollout.py reads session_id and extra_info from **kwargs"


def test_the_single_turn_loop_asks_its_client_once_and_by_keyword():
    (generate,) = calls(SingleTurnAgentLoop.run, "generate")
    assert not generate.args, "prefix.ForcedPrefixClient.generate takes keywords only"
    assert {"prompt_ids", "sampling_params"} <= keywords(generate)


def test_the_single_turn_loop_cuts_the_response_to_the_length_that_the_prefix_is_charged_to():
    source = inspect.getsource(SingleTurnAgentLoop)
    assert "self.response_length = self.rollout_config.response_length" in source
    assert "response_ids[: self.response_length]" in source
    assert "response_logprobs[: self.response_length]" in source


def test_the_single_turn_loop_passes_the_clients_extra_fields_on():
    source = inspect.getsource(SingleTurnAgentLoop.run)
    assert "extra_fields=output.extra_fields" in source, "rollout.py adds the mode to the loop's extra_fields"


@pytest.mark.parametrize("name", ["LLMServerClient", "FullyAsyncLLMServerClient"])
def test_a_client_takes_prompt_and_parameters_by_keyword(name):
    parameters = inspect.signature(getattr(llm_server, name).generate).parameters
    for argument in ("prompt_ids", "sampling_params"):
        assert parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY, (
            f"prefix.ForcedPrefixClient stands in for {name} and passes {argument} by keyword"
        )


def test_the_engines_answer_can_be_changed_in_place():
    output = TokenOutput(token_ids=[1], log_probs=None)
    output.token_ids, output.log_probs = [7, 1], [0.0, -1.0]
    assert (output.token_ids, output.log_probs) == ([7, 1], [0.0, -1.0]), "prefix.ForcedPrefixClient puts the prefix in"


def test_the_vllm_server_honours_max_tokens():
    path = Path(verl.__file__).parent / "workers/rollout/vllm_rollout/vllm_async_server.py"
    source = path.read_text(encoding="utf-8")
    assert 'max_tokens = sampling_params.pop("max_tokens")' in source, (
        "prefix.ForcedPrefixClient asks for response_length - prefix tokens by it"
    )


def test_a_resumed_request_keeps_its_budget():
    source = inspect.getsource(llm_server.FullyAsyncLLMServerClient.generate)
    assert '"max_tokens" in sampling_params' in source, "the async trainers resume aborted requests with our max_tokens"


def test_the_extra_fields_of_a_rollout_are_stored():
    output = agent_loop.AgentLoopOutput(
        prompt_ids=[1],
        response_ids=[7, 2],
        response_mask=[1, 1],
        metrics={},
        num_turns=2,
        extra_fields={schema.ROLLOUT_FIELD: {"mode": 1, "prefix_len": 1, "forced": True}},
    )
    stored = output.as_dict()["extra_fields"]
    assert stored[schema.ROLLOUT_FIELD]["mode"] == 1, "trainer._rollout_rows reads the mode from it"


def test_an_empty_response_with_a_reward_is_a_failed_session():
    empty = {"prompt_ids": [1], "response_ids": [], "response_mask": [], "metrics": {}, "num_turns": 2}
    with pytest.raises(IndexError):
        agent_loop.AgentLoopOutput(**empty, reward_score=0.0).as_dict()
    # Without one it is stored, by the length that trainer._rollout_rows looks at.
    assert agent_loop.AgentLoopOutput(**empty).as_dict()["responses"].size(0) == 0
    assert '"response_len": response_len' in inspect.getsource(agent_loop_tq)


def test_a_session_has_no_time_limit():
    for source in map(inspect.getsource, (agent_loop, agent_loop_tq, llm_server)):
        assert not re.search("timeout|wait_for", source), "docs/reliability.md says that verl waits for ever"


def test_the_reward_function_sees_the_extra_fields():
    source = inspect.getsource(NaiveRewardManager.run_single)
    assert "tool_extra_fields" in source and "extra_info.update(" in source, (
        f"reward functions find the forced mode as extra_info[{schema.ROLLOUT_FIELD!r}]"
    )


def test_rows_are_keyed_by_uid_session_and_output():
    assert 'keys.append(f"{uid}_{session_id}_{i}")' in inspect.getsource(agent_loop_tq), (
        "trainer._rollout_rows takes a key that does not end in _0 for a further output of a session"
    )
