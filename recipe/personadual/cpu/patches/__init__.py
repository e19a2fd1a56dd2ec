"""One module per patch: a place without a hook, why it is in the way on a CPU, and the least that clears it.

Every patch stands alone. ``apply()`` first checks version and source text of what it replaces, raises
``UnsupportedVersion`` on anything unknown, and does nothing the second time. P1, P3 and P4 belong to processes that
import verl, P2 to vLLM's (``personadual.cpu.vllm_patch``).
"""

import functools
from collections.abc import Callable
from typing import Any

MARK = "__personadual_patch__"


def replace(owner: Any, name: str, patch: str, make: Callable[[Callable], Callable]) -> None:
    """Replace ``owner.name`` by ``make(original)``, once."""
    original = getattr(owner, name)
    if getattr(original, MARK, None) == patch:
        return
    patched = functools.wraps(original)(make(original))
    setattr(patched, MARK, patch)
    setattr(owner, name, patched)


def apply_verl_side() -> None:
    from . import p1_gloo_backend, p3_vllm_version, p4_unpinned_offload

    p1_gloo_backend.apply()
    p3_vllm_version.apply()
    p4_unpinned_offload.apply()
