"""The CPU as a verl platform: gloo, one fake Ray "GPU" per rank, weights through shared memory.

Against verl 0.9.1, ``verl/plugin/platform/platform_base.py``; verl has the interface but ships no CPU platform.
"""

import resource
import types
from contextlib import contextmanager

import psutil
import torch
from verl.plugin.platform import PlatformBase


class CpuDeviceId(str):
    """verl uses a device id both as a device (``x.to(id)``) and as an index (``f"{name}:{id}"``); this is both."""

    def __format__(self, format_spec: str) -> str:
        return format(0, format_spec)

    def __index__(self) -> int:
        return 0

    __int__ = __index__


THE_CPU = CpuDeviceId("cpu")


class CpuDeviceModule(types.ModuleType):
    """Stands where verl expects ``torch.cuda``: the process's memory as the device's, ``torch.cpu`` for the rest.

    Not ``torch.cpu`` itself, which lacks what ``verl/workers/engine_workers.py:219-220`` and others call.
    """

    def __getattr__(self, name: str):
        return getattr(torch.cpu, name)

    is_available = staticmethod(lambda: True)
    current_device = staticmethod(lambda: THE_CPU)
    # Holds "CPU", the key of verl's table of peak FLOPS (``verl/utils/flops_counter.py``).
    get_device_name = staticmethod(lambda device=None: "CPU")
    get_rng_state = staticmethod(lambda device=None: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, device=None: torch.set_rng_state(state))
    empty_cache = staticmethod(lambda: None)
    ipc_collect = staticmethod(lambda: None)
    reset_peak_memory_stats = staticmethod(lambda device=None: None)

    @staticmethod
    def memory_allocated(device=None) -> int:
        return psutil.Process().memory_info().rss

    @staticmethod
    def max_memory_allocated(device=None) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    memory_reserved = memory_allocated
    max_memory_reserved = max_memory_allocated

    @staticmethod
    def mem_get_info(device=None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total


DEVICE_MODULE = CpuDeviceModule("personadual.cpu.device", CpuDeviceModule.__doc__)


class CpuPlatform(PlatformBase):
    """All answers are constants: there is one device, it is always there, and it has no driver."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def current_device(self) -> CpuDeviceId:  # type: ignore[override]  # verl's own says int and allows a device
        return THE_CPU

    def device_count(self) -> int:
        return 1

    def communication_backend_name(self) -> str:
        return "gloo"

    def get_device_capability(self, device_index=0) -> tuple[None, None]:
        return None, None

    # Ray hands out a fake "GPU" per rank (``ray_init.num_gpus``), because verl reads the accelerator ids of its
    # workers (``vllm_async_server.py``); Ray then sets the variable that belongs to that resource.
    def ray_resource_name(self) -> str:
        return "GPU"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    # CUDA handles cannot be passed between processes here: weights go to vLLM through shared memory.
    def is_ipc_supported(self) -> bool:
        return False

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    @contextmanager
    def nvtx_range(self, msg: str):
        yield

    def _nothing(self, *args, **kwargs) -> None:
        """For what a CPU has no counterpart of."""

    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing
