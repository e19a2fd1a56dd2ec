"""P1: let verl's process groups start on a platform whose device is the CPU.

verl 0.9.1, ``verl/utils/distributed.py:63`` and ``:89``, asks for gloo on the CPU plus the platform's backend on its
device. Here both are the same, and torch refuses "cpu:gloo,cpu:gloo" because it names a device twice. The patch
rewrites exactly that string; every other backend passes through.
"""

from ..versions import check, check_source
from . import replace

TWICE, ONCE = "cpu:gloo,cpu:gloo", "cpu:gloo"


def apply() -> None:
    check("verl")
    check("torch")
    check_source(
        "P1",
        "verl",
        "utils/distributed.py",
        'backend = f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"',
        'backend = backend or f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"',
        "torch.distributed.init_process_group(",
    )
    import torch.distributed

    replace(torch.distributed, "init_process_group", "P1", _name_gloo_once)


def _name_gloo_once(original):
    def init_process_group(backend=None, *args, **kwargs):
        return original(ONCE if backend == TWICE else backend, *args, **kwargs)

    return init_process_group
