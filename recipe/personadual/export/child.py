"""Steps that import torch, verl or vLLM, each in a process of its own: offline, and without pickled code.

A step that is killed for want of memory, or dies in a library, is then a sentence and not a half-written folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from personadual.export import ExportError
from personadual.files import write_json

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # torch.load(weights_only=False), as verl's merger has it, then reads weights only (torch/serialization.py).
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
}
# The patches for training on a CPU have nothing to do here.
REMOVED = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "VERL_PLATFORM")
TAIL = 3000
Step = Callable[[dict[str, Any]], dict[str, Any]]


def call(module: str, request: dict[str, Any], gpu: bool = False) -> dict[str, Any]:
    """Run ``module``'s step on ``request`` in a new process and return its result.

    Args:
        gpu: let it see the GPUs.

    Raises:
        ExportError: the step refused, or its process died; then with the end of what it printed.
    """
    environment = {key: value for key, value in os.environ.items() if key not in REMOVED} | ENVIRONMENT
    if not gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory(prefix="personadual-export-") as folder:
        asked, answered, log = Path(folder, "request.json"), Path(folder, "result.json"), Path(folder, "log")
        write_json(asked, request)
        with log.open("wb") as output:
            command = [sys.executable, "-m", module, str(asked), str(answered)]
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment).returncode
        if code == 0 and answered.is_file():
            result = json.loads(answered.read_text(encoding="utf-8"))
            if "error" in result:
                raise ExportError(result["error"])
            return result
        tail = log.read_bytes()[-TAIL:].decode("utf-8", "replace").strip()
    killed = " (SIGKILL, most often for want of memory)" if code == -9 else ""
    raise ExportError(f"{module} ended with {code}{killed}. It printed last:\n{tail}")


def main(step: Step) -> None:
    """Entry point of a step's process: ``python -m MODULE REQUEST RESULT``."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        result = step(request)
    except ExportError as error:
        traceback.print_exc()
        result = {"error": str(error)}
    write_json(Path(sys.argv[2]), result)
