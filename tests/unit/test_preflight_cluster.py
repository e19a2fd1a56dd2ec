"""Every node of a real Ray cluster is asked: two nodes of CPUs on this machine."""

import shutil
import tempfile

import pytest
from hydra import compose, initialize_config_module

from personadual.preflight.cluster import cluster_findings
from personadual.preflight.findings import ERROR, OK
from personadual.preflight.setup import Setup


@pytest.fixture(scope="module")
def ray_address():
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    # A cluster leaves its address in Ray's temporary folder, where every `ray.init()` of this machine would find and
    # join it: a training that starts meanwhile, or any later one if this is killed. Short: sockets are put below it.
    folder = tempfile.mkdtemp(prefix="ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Cluster(initialize_head=True, head_node_args={**options, "num_gpus": 1})
        try:
            cluster.add_node(**{name: value for name, value in options.items() if name != "include_dashboard"})
            cluster.wait_for_nodes()
            yield cluster.address
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def setup(address, *overrides):
    with initialize_config_module(config_module="personadual.config", version_base=None):
        return Setup(compose(config_name="dual_grpo_trainer", overrides=list(overrides)), ray_address=address)


def test_both_nodes_answer_with_the_versions_of_here(ray_address):
    import ray

    found = list(cluster_findings(setup(ray_address, "trainer.n_gpus_per_node=1")))
    assert {finding.severity for finding in found} == {OK}, [finding for finding in found if not finding.ok]
    answers = [finding for finding in found if finding.what.startswith("node ")]
    assert len(answers) == 2 and all("personadual.estimator.dual_grpo" in finding.found for finding in answers)
    assert not ray.is_initialized()  # the training starts its own connection


def test_too_few_gpus_are_an_error(ray_address):
    findings = cluster_findings(setup(ray_address, "trainer.n_gpus_per_node=8"))
    finding = next(finding for finding in findings if finding.what == "GPUs of the cluster")
    findings.close()  # the nodes answered in the test above
    assert finding.severity == ERROR
    assert "1 (1, 0)" in finding.found.replace("0, 1", "1, 0")


def test_no_cluster_at_the_address_is_one_finding():
    (finding,) = cluster_findings(setup("127.0.0.1:1"))
    assert finding.severity == ERROR and "127.0.0.1:1" in finding.found


def test_nothing_is_asked_without_an_address():
    assert list(cluster_findings(setup(None))) == []
