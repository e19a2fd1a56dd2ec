"""Two trainers on one machine, a step of each in turn, so that what disturbs the machine for minutes hits both alike.

The hook is the training set: verl reads it at the start of every step and nowhere else (verl/trainer/ppo/v1/
trainer_base.py, ``prepare_step``, 0.9.1; with ``data.dataloader_num_workers=0``). There the trainer says that it
is through with the step before, and waits until the other one is. The steps up to ``FREE_STEPS`` don't wait, so that
the second trainer starts while the first stands still.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

from personadual.files import write_text

FREE_STEPS = 2
LOOK = 0.02  # seconds between two looks for the other trainer
PATIENCE = 1800.0  # seconds after which the other one is taken for hung


class Turns:
    """What one trainer says to the other, in ``folder``: the number of the step that it asks for."""

    def __init__(self, folder: Path, me: str, other: str, first: bool):
        self.folder, self.me, self.other, self.first = Path(folder), me, other, first

    def ask(self, step: int) -> None:
        """Return when ``step`` may begin. When it was asked for, and how long it waited, goes to the folder.

        Raises:
            TimeoutError: the other trainer asked for nothing for ``PATIENCE`` seconds.
        """
        asked = time.time()
        _say(self.folder, self.me, step)
        # The first one's step comes before the other one's of the same number.
        needed = step if self.first else step + 1
        while step > FREE_STEPS and asked_for(self.folder, self.other) < needed:
            if time.time() - asked > PATIENCE:
                raise TimeoutError(f"{self.other} did not ask for step {needed} within {PATIENCE:.0f} s")
            time.sleep(LOOK)
        line = json.dumps({"step": step, "asked": asked, "waited": time.time() - asked})
        with (self.folder / f"{self.me}.jsonl").open("a") as file:
            file.write(line + "\n")


def asked_for(folder: Path, name: str) -> float:
    """The number of the step that trainer ``name`` asked for last; 0 before its first."""
    path = _file(folder, name)
    return float(path.read_text()) if path.exists() else 0


def leave(folder: Path, name: str) -> None:
    """Trainer ``name`` has ended: nobody waits for it any more."""
    _say(folder, name, float("inf"))


def _say(folder: Path, name: str, step: float) -> None:
    write_text(_file(folder, name), f"{step}\n")


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.asked"


class TakesTurns(RLHFDataset):
    """verl's RL dataset, read a batch at a time in the order of its ``data.turns`` (the arguments of ``Turns``)."""

    def __init__(self, *args: Any, config: Any, **kwargs: Any):
        super().__init__(*args, config=config, **kwargs)
        self.turns = Turns(**config.turns)
        self.batch = int(config.train_batch_size)
        self.rows_read = 0

    def __getitem__(self, item: int) -> dict[str, Any]:
        if self.rows_read % self.batch == 0:
            self.turns.ask(self.rows_read // self.batch + 1)
        self.rows_read += 1
        return super().__getitem__(item)
