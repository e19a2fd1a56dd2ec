"""P4: build the reference model without pinned memory.

verl 0.9.1, ``verl/workers/engine/fsdp/transformer_impl.py:462``, gives a forward-only model
``CPUOffloadPolicy(pin_memory=True)``. Pinning is for copies to an accelerator, and torch raises where there is none.
The patch makes every such policy one without pinning, and leaves the class itself alone, so that torch's
``isinstance`` checks and modules that imported it earlier agree.
"""

from ..versions import check, check_source
from . import replace


def apply() -> None:
    check("verl")
    check("torch")
    check_source(
        "P4", "verl", "workers/engine/fsdp/transformer_impl.py", "offload_policy = CPUOffloadPolicy(pin_memory=True)"
    )
    from torch.distributed.fsdp import CPUOffloadPolicy

    replace(CPUOffloadPolicy, "__init__", "P4", _never_pin)


def _never_pin(original):
    def __init__(self, pin_memory=False):
        original(self, pin_memory=False)

    return __init__
