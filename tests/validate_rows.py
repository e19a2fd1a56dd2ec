"""Sound rows for ``data validate``, even ones with options and no persona, and the command on files of them."""

import argparse

import pyarrow as pa

from personadual import schema
from personadual.data_prep import validate
from personadual.data_prep.columns import write_parquet
from personadual.data_prep.items import FACT, Item, rl_rows, sft_rows
from personadual.data_prep.validation.files import Options, Validator
from personadual.modes import DEFAULT_MODES

ROWS = 8


def item(number, split="train", **changes):
    """Item ``number``; even ones have options and no persona."""
    even = number % 2 == 0
    fields = {
        "question_id": f"{split}-{number}",
        "condition": schema.NONE if even else schema.UNALIGNED,
        "question": f"Question {number} of {split}?" + (" A. yes B. no" if even else ""),
        "persona": "" if even else f"I am person {number} of {split}.",
        "truth": "B" if even else f"town {number}",
        "accept": () if even else (f"the town {number}",),
        "mode_answers": ("B", "B") if even else (f"town {number}", f"town {number}"),
        "right_mode": number // 2 % 2,
        "ability": FACT,
        "split": split,
        "source": "test",
        "options": ("yes", "no") if even else None,
    }
    return Item(**{**fields, **changes})


def good_rl(split="train"):
    return rl_rows([item(number, split) for number in range(ROWS)], DEFAULT_MODES, "quickstart_")


def good_sft(split="train"):
    items = [item(number, split) for number in range(ROWS // 2)]
    return sft_rows(items, DEFAULT_MODES, [(number, mode) for number in range(ROWS // 2) for mode in range(2)])


def write(path, rows, table_schema=None):
    write_parquet(path, pa.Table.from_pylist(rows, schema=table_schema))
    return path


def findings(*paths, **options):
    validator = Validator(Options(**{"modes": DEFAULT_MODES, **options}))
    return list(validate.validate(paths, validator).findings)


def named(found):
    return {finding.check for finding in found}


def run(*arguments):
    parser = argparse.ArgumentParser()
    validate.add_arguments(parser)
    return validate.run(parser.parse_args([str(argument) for argument in arguments]))


def put(*path, value):
    """A plant that sets one field of the third row."""

    def plant(rows):
        place = rows[2]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return rows

    return plant
