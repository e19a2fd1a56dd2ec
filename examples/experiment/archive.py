"""Answers and training metrics of the cells that are done, between an experiment's folder and the published results.

    python examples/experiment/archive.py publish outputs/experiment docs/results/experiment
    python examples/experiment/archive.py restore outputs/experiment docs/results/experiment

``publish`` packs what is there and keeps what was published before. ``restore`` puts it back, so that the reports can
be made anew and the queue goes on with the cells that are missing; their models are trained again where a later cell
needs one. Published are, by cell: answers/SPLIT/NAME.jsonl.gz with its settings, training/NAME.jsonl.gz, and the
seconds that each stage took.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path

from personadual.evaluation.load import read_generations
from personadual.evaluation.runfile import COMPRESSED, ROWS, meta_path
from personadual.files import write_json, write_text, write_whole
from personadual.monitor.logs import read_training_log

ANSWERS, TRAINING, SECONDS = "answers", "training", "seconds.json"
DIGITS = 6  # of a metric


def pack(target: Path, data: bytes) -> None:
    """Write ``data`` compressed; the same bytes for the same data, whenever it is done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda part: part.write_bytes(gzip.compress(data, mtime=0)))


def unpack(source: Path, target: Path) -> None:
    """Write what ``pack`` packed to ``target``."""
    data = gzip.decompress(source.read_bytes())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda part: part.write_bytes(data))


def publish(folder: Path, results: Path) -> None:
    """From the experiment's folder to the published results. A cell counts once its validation answers are whole."""
    seconds = {path.name: int(path.read_text()) for path in sorted((folder / "stages").iterdir()) if path.suffix == ""}
    for path in sorted((folder / "generations").glob(f"*/*{ROWS}")):
        split, name = path.parent.name, path.stem
        if f"{split}_{name}" not in seconds:
            continue
        read_generations([path])
        pack(results / ANSWERS / split / f"{path.name}{COMPRESSED}", path.read_bytes())
        # Paths from where the experiment's script was started.
        meta = meta_path(path).read_text(encoding="utf-8").replace(f"{Path.cwd()}/", "")
        write_text(results / ANSWERS / split / meta_path(path).name, meta)
    cells = [name.removeprefix("val_") for name in seconds if name.startswith("val_")]
    for run in sorted((folder / "runs").iterdir()):
        if not any(cell == run.name or cell.startswith(f"{run.name}_") for cell in cells):
            continue  # none of its cells is done
        # By time: a run that was stopped has a file for each attempt.
        files = sorted(run.glob(f"metrics/*{ROWS}"), key=lambda file: int(file.stem))
        log = read_training_log(files) if files else None
        if log is not None and not log.empty:
            steps = (
                {"step": step, "data": {name: float(f"{value:.{DIGITS}g}") for name, value in row.dropna().items()}}
                for step, row in log.iterrows()
            )
            data = "".join(json.dumps(step) + "\n" for step in steps).encode()
            pack(results / TRAINING / f"{run.name}{ROWS}{COMPRESSED}", data)
    known = json.loads((results / SECONDS).read_text()) if (results / SECONDS).exists() else {}
    write_json(results / SECONDS, dict(sorted({**known, **seconds}.items())))


def restore(folder: Path, results: Path) -> None:
    """The reverse of ``publish``; what the experiment's folder has already stays as it is."""
    seconds = json.loads((results / SECONDS).read_text())
    for path in sorted((results / ANSWERS).glob(f"*/*{ROWS}{COMPRESSED}")):
        split, file = path.parent.name, path.name.removesuffix(COMPRESSED)
        target = folder / "generations" / split / file
        if not target.exists():
            stage = f"{split}_{file.removesuffix(ROWS)}"
            write_text(folder / "stages" / stage, f"{seconds[stage]}\n")
            cell = file.removesuffix(ROWS)
            if cell in seconds:  # for the queue's estimate; not as a stage, whose model would have to be there
                write_text(folder / "stages" / f"{cell}.seconds", f"{seconds[cell]}\n")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(meta_path(path), target.parent)
            unpack(path, target)  # last: it says that the rest is there
    for path in sorted((results / TRAINING).glob(f"*{ROWS}{COMPRESSED}")):
        metrics = folder / "runs" / path.name.removesuffix(ROWS + COMPRESSED) / "metrics"
        if not metrics.exists():
            unpack(path, metrics / f"0{ROWS}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("publish", "restore"))
    parser.add_argument("folder", type=Path, help="the experiment's folder, outputs/experiment")
    parser.add_argument("results", type=Path, help="docs/results/experiment")
    args = parser.parse_args()
    {"publish": publish, "restore": restore}[args.what](args.folder, args.results)


if __name__ == "__main__":
    main()
