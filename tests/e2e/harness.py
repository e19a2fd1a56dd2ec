"""Runs verl's own trainers as a user would, each run in a session that can be killed and cleaned up as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

MARK = "PERSONADUAL_TEST_RUN"
CPU_ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "2",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray runs its workers at the lowest priority but four; any other program would then hold every step up.
    "RAY_worker_niceness": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HYDRA_FULL_ERROR": "1",
}


class TrainingRun:
    """A started command; all processes that come of it carry ``mark`` in their environment, Ray's workers too."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None):
        self.mark = uuid.uuid4().hex
        self.log = log
        self._output = open(log, "wb")
        self.process = subprocess.Popen(
            command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=os.environ | CPU_ENVIRONMENT | (environment or {}) | {MARK: self.mark},
            start_new_session=True,
            # A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait(self, timeout: float) -> int:
        """Exit code; AssertionError with the log's tail after ``timeout`` seconds (a dead worker can hang verl)."""
        code = self.exit_code(timeout)
        assert code is not None, f"still running after {timeout} s\n{self.tail()}"
        return code

    def exit_code(self, timeout: float) -> int | None:
        """None if it still runs after ``timeout`` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def wait_until(self, reached: Callable[[], bool], timeout: float, every: float = 0.1) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            assert self.process.poll() is None, f"ended early with {self.process.returncode}\n{self.tail()}"
            assert time.monotonic() < deadline, f"not reached within {timeout} s\n{self.tail()}"
            time.sleep(every)

    def tail(self, characters: int = 6000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def kill_all(self) -> int:
        """SIGKILL to every process of this run that is left, and wait for their ends; how many there were."""
        self._output.close()
        killed = 0
        for process in self.processes():
            with suppress(psutil.Error, OSError):  # ended meanwhile
                process.send_signal(signal.SIGKILL)
                killed += 1
        self.process.wait(30)
        deadline = time.monotonic() + 30
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        return killed

    def processes(self) -> list[psutil.Process]:
        """Every process of this run that is left, and none of another run.

        Zombies are not: they hold neither ports nor memory, and may have no parent that ever reaps them.
        """
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # ended meanwhile, or another user's
                if self._owns(process) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _owns(self, process: psutil.Process) -> bool:
        """By session, or by mark: Ray's workers leave the session, and vLLM's write their names over the mark."""
        return os.getsid(process.pid) == self.process.pid or process.environ().get(MARK) == self.mark


@contextmanager
def running(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[TrainingRun]:
    run = TrainingRun(command, log, environment)
    try:
        yield run
    finally:
        run.kill_all()


def sft_command(model: Path, train: Path, out: Path, *overrides: str) -> list[str]:
    """verl's SFT trainer with our config and the CPU overlay."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"),
        *("-m", "verl.trainer.sft_trainer", "--config-path", "pkg://personadual.config"),
        *("--config-name", "personadual_sft", "+platform=cpu_sft"),
        f"model.path={model}",
        f"data.train_files={train}",
        f"trainer.default_local_dir={out}",
        "trainer.logger=[console]",
        f"hydra.run.dir={out}/hydra",
        *overrides,
    ]


def rl_command(model: Path, train: Path, val: Path, out: Path, *overrides: str) -> list[str]:
    """verl's V1 trainer with our config and the CPU overlay."""
    return [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "--config-path", "pkg://personadual.config"),
        *("--config-name", "dual_grpo_trainer", "+platform=cpu"),
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={train}",
        f"data.val_files={val}",
        f"trainer.default_local_dir={out}/checkpoints",
        f"trainer.rollout_data_dir={out}/rollouts",
        f"trainer.validation_data_dir={out}/validation",
        "trainer.logger=[console,file]",
        f"hydra.run.dir={out}/hydra",
        *overrides,
    ]


def read_jsonl(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
