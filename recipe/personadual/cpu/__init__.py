"""verl's FSDP engine, V1 and SFT trainers and vLLM's CPU backend without a GPU, asked for by ``VERL_PLATFORM=cpu``.

``personadual.plugin`` calls ``activate()`` in every process that imports verl, and only when asked. It comes in time:
verl chooses its platform on the first ``get_platform()`` call, and nothing calls that while ``import verl`` runs.
vLLM's processes get theirs from ``vllm_patch`` (a ``vllm.general_plugins`` entry point), which knows nothing of verl.

- ``platform``   the device that verl asks about, registered as "cpu"
- ``patches``    one module for each place of verl, torch or vLLM that has no hook
- ``versions``   the releases those places were read in; any other is refused
- ``cleanup``    removes what killed runs leave in shared memory

The settings that go with it are the overlays ``config/platform/cpu.yaml`` and ``cpu_sft.yaml``. This module imports
neither torch nor verl.
"""

import os


def asked_for() -> bool:
    """Whether this process runs with ``VERL_PLATFORM=cpu``, read as verl reads it."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def set_environment() -> None:
    """Set what follows from the one setting, for this process and its children; what the user set stays."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    defaults = {
        # The FSDP engine is registered for "cuda" and "npu" only; this is verl's own override of the look-up.
        "VERL_ENGINE_DEVICE": "cuda",
        # Ray gives an actor one thread unless told otherwise; actor and rollouts take turns, so each may have all.
        "OMP_NUM_THREADS": str(cores),
        # GiB of KV cache for each vLLM engine. Unset, vLLM takes a large share of the machine's memory.
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def activate() -> None:
    """Check versions, patch, and register the platform; calling it again changes nothing.

    verl swallows what a plugin raises. On an error the platform "cpu" is therefore registered as one that raises the
    same error when verl first asks for it, so the run ends with our sentence and not with "Unknown platform 'cpu'".
    """
    from . import patches, versions

    try:
        versions.check_verl_side()
        patches.apply_verl_side()
        from .platform import CpuPlatform as platform_class
    except versions.UnsupportedVersion as error:
        _register(_refusing_platform(error))
        raise
    set_environment()
    _register(platform_class)


def _register(platform_class: type) -> None:
    from verl.plugin.platform import PlatformRegistry

    PlatformRegistry.register(platform="cpu")(platform_class)


def _refusing_platform(error: Exception) -> type:
    from verl.plugin.platform import PlatformBase

    def refuse(cls):
        raise error

    return type("RefusedCpuPlatform", (PlatformBase,), {"__new__": refuse})
