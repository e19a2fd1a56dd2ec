"""A data set for verl's SFT trainer whose sequences are the RL prompt and the response behind it, token for token.

    data.custom_cls.path=pkg://personadual.sft data.custom_cls.name=PromptResponseDataset

verl's own ``MultiTurnSFTDataset`` tokenises each message apart and then demands that the parts equal the template of
the whole conversation. Templates that write the last turn differently, as Qwen3's does with its think block, fail that
check, and with ``ignore_input_ids_mismatch`` train on another prompt than rollouts see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset
from verl.utils.fs import copy_to_local

from personadual.data_prep.chat_tokens import render_ids, response_ids, split_response, turn_end
from personadual.modes import Modes, encode_prefixes

THINKING = "enable_thinking"
_DEFAULT = "data.enable_thinking_default"
_TRUNCATION = ("error", "right")


class PromptResponseDataset(Dataset):
    """Single responses to a prompt; loss on the tag, the body and the turn end.

    Read from ``config`` (verl's ``data``): ``messages_key``, ``apply_chat_template_kwargs``,
    ``enable_thinking_default``, ``max_length``, ``truncation``, ``pad_mode``, ``shuffle``, ``seed``, and ``modes`` (a
    list of {name, tag}, or a file of one; the paper's two without it). Rows come back as from verl's own data set, so
    both padding modes work with its collator.

    Args:
        parquet_files: one path or several, with a ``messages`` column whose last message is the assistant's.
        tokenizer: of the model; must have a chat template.
        config: verl's ``data`` block.
        processor: must be None; responses to images are not supported.
        max_samples: the first that many rows (with ``shuffle`` drawn at random by ``seed``); all where it is not
            positive.

    Raises:
        ValueError: a setting under which the sequences could not be the rollouts' own, or a row that is no prompt with
            a tagged response.
    """

    def __init__(
        self,
        parquet_files: str | Sequence[str],
        tokenizer: Any,
        config: Mapping[str, Any] | None,
        processor: Any = None,
        max_samples: int = -1,
    ):
        config = config if config is not None else {}
        if processor is not None:
            raise ValueError("PromptResponseDataset takes text models; for a model with images use verl's own data set")
        self.tokenizer = tokenizer
        self.modes = Modes.from_config(config.get("modes"))
        self.template_kwargs = template_kwargs(config)
        self.max_length = int(config.get("max_length", 1024))
        self.truncation = config.get("truncation", "error")
        self.pad_mode = config.get("pad_mode", "right")
        if self.truncation not in _TRUNCATION:
            raise ValueError(
                f"data.truncation={self.truncation}: one of {', '.join(_TRUNCATION)} is needed; a prompt that lost its "
                "beginning is none that a rollout sees"
            )
        if self.pad_mode not in ("right", "no_padding"):
            raise ValueError(f"data.pad_mode={self.pad_mode}: right or no_padding is needed")
        encode_prefixes(tokenizer, self.modes)
        self._end = turn_end(tokenizer, **self.template_kwargs)
        self._messages = _read(parquet_files, config.get("messages_key", "messages"))
        self._rows = _chosen(len(self._messages), max_samples, config.get("shuffle", False), config.get("seed"))
        for row in self._rows:
            self._checked(int(row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        row = int(self._rows[item])
        messages = self._checked(row)
        prompt = render_ids(self.tokenizer, messages[:-1], generate=True, **self.template_kwargs)
        response = response_ids(self.tokenizer, messages[-1]["content"], self.modes, self._end)
        ids, mask = prompt + response, [0] * len(prompt) + [1] * len(response)
        if len(ids) > self.max_length:
            if self.truncation == "error":
                raise ValueError(
                    f"row {row + 1} has {len(ids)} tokens, data.max_length is {self.max_length}. Raise it, leave long "
                    "rows out, or set data.truncation=right, which cuts the end token and what is before it"
                )
            ids, mask = ids[: self.max_length], mask[: self.max_length]
        return self._padded(ids, mask)

    def _padded(self, ids: list[int], mask: list[int]) -> dict[str, torch.Tensor]:
        length = len(ids)
        missing = self.max_length - length if self.pad_mode == "right" else 0
        pad = self.tokenizer.pad_token_id
        fields = {
            "input_ids": torch.tensor(ids + [0 if pad is None else pad] * missing),
            "position_ids": torch.tensor([*range(length), *[0] * missing]),
            "loss_mask": torch.tensor(mask + [0] * missing),
        }
        if self.pad_mode == "right":
            fields["attention_mask"] = torch.tensor([1] * length + [0] * missing)
        return fields

    def _checked(self, row: int) -> list[dict[str, Any]]:
        """The row's messages. Arrow gives each message all the keys that any has; null ones are left out."""
        messages = [
            {key: value for key, value in message.items() if value is not None}
            for message in self._messages[row].as_py() or []
        ]
        roles = [message.get("role") for message in messages]
        if len(messages) < 2 or roles[-1] != "assistant":
            raise ValueError(f"row {row + 1}: a prompt and then an assistant message are needed, found roles {roles}")
        if any(not isinstance(message.get("content"), str) for message in messages):
            raise ValueError(f"row {row + 1}: the content of every message must be a text")
        try:
            split_response(messages[-1]["content"], self.modes)
        except ValueError as error:
            raise ValueError(f"row {row + 1}: {error}. `personadual data validate` lists all such rows") from None
        return messages


def template_kwargs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords for the chat template out of verl's ``data`` block, the same for every row as rollouts have them.

    Raises:
        ValueError: ``enable_thinking`` is a text (verl 0.9.1's own default "none" is one, and counts as true), or
            differs between the two places where it can be set.
    """
    kwargs = {str(key): value for key, value in (config.get("apply_chat_template_kwargs") or {}).items()}
    default = config.get("enable_thinking_default")
    for name, value in ((_DEFAULT, default), (f"data.apply_chat_template_kwargs.{THINKING}", kwargs.get(THINKING))):
        if value is not None and not isinstance(value, bool):
            raise ValueError(
                f"{name} is {value!r}, which verl would take as true. Set {_DEFAULT}=false for rollouts without "
                f"thinking, =true for rollouts with it, or =null to leave it to the template"
            )
    if default is None:
        return kwargs
    if kwargs.get(THINKING, default) != default:
        raise ValueError(
            f"{_DEFAULT}={default} contradicts data.apply_chat_template_kwargs.{THINKING}={kwargs[THINKING]}; rollouts "
            f"use the latter. Set both alike"
        )
    return {**kwargs, THINKING: default}


def _read(parquet_files: str | Sequence[str], key: str) -> list[pa.Scalar]:
    """The messages of all files. Columns that verl would read row by row are refused, as rollouts have none such."""
    rows: list[pa.Scalar] = []
    for path in [parquet_files] if isinstance(parquet_files, str) else parquet_files:
        file = pq.ParquetFile(copy_to_local(path))
        names = file.schema_arrow.names
        if key not in names:
            raise ValueError(f"{path}: no column {key!r}, found {', '.join(names)}. Set data.messages_key")
        for name in ("tools", "images", "videos", THINKING):
            if name in names and file.read(columns=[name]).column(0).null_count < file.metadata.num_rows:
                raise ValueError(
                    f"{path}: the column {name!r} changes the prompt of single rows, which rollouts can't follow. Drop "
                    f"it (thinking is set for all rows by {_DEFAULT})"
                )
        rows += file.read(columns=[key]).column(0)
    return rows


def _chosen(total: int, max_samples: int, shuffle: bool, seed: int | None) -> np.ndarray:
    """The rows that verl's own data set would take."""
    if not 0 < max_samples < total:
        return np.arange(total)
    if not shuffle:
        return np.arange(max_samples)
    if seed is None:
        raise ValueError(
            f"data.shuffle=true draws {max_samples} of {total} rows (data.train_max_samples, data.val_max_samples), "
            "and without data.seed every rank draws others. Set +data.seed=1, or leave one of the two out"
        )
    return np.random.default_rng(seed).choice(total, size=max_samples, replace=False)
