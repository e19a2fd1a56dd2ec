"""All checks by name. An error breaks training, grading or evaluation, or leaks; a warning is worth a look."""

from __future__ import annotations

from typing import NamedTuple

ERROR, WARNING = "error", "warning"


class Check(NamedTuple):
    """``required`` and ``mend`` may name facts of the run in braces (see ``findings.Findings``)."""

    severity: str
    field: str
    required: str
    mend: str


_PROMPT, _RESPONSE = "prompt", "messages[-1].content"
_DROP = "escape or drop such rows when the data is built"

CHECKS: dict[str, Check] = {
    # The file.
    "unreadable": Check(ERROR, "", "a parquet file", "write it again, or check the path"),
    "no-rows": Check(ERROR, "", "at least one row", "write it again"),
    "unknown-kind": Check(
        ERROR, "", "columns of an RL file (prompt, ...) or an SFT file (messages)", "rename the columns"
    ),
    "missing-column": Check(ERROR, "", "this column or field", "add it (docs/data.md lists all)"),
    "wrong-type": Check(ERROR, "", "the type that verl and the graders read", "write the column with that type"),
    "not-utf8": Check(ERROR, "", "text in UTF-8", "decode the source with its own encoding and write it again"),
    "schemas-differ": Check(
        WARNING, "", "equal columns and types in files of one kind", "write both with the same tool; verl joins files"
    ),
    # Chats.
    "no-messages": Check(ERROR, "", "at least one message", "drop the row"),
    "bad-role": Check(ERROR, "", "roles system (first only), user, assistant", "rename the role or drop the row"),
    "bad-content": Check(ERROR, "", "a text that is not blank in every message", "drop the row"),
    "last-message": Check(
        ERROR, "", "last message: of the user in a prompt, of the assistant in SFT", "cut or drop the row"
    ),
    "mode-tag-in-prompt": Check(ERROR, _PROMPT, "no mode tag in what the model reads", _DROP),
    "answer-block-in-prompt": Check(ERROR, _PROMPT, "no answer block in what the model reads", _DROP),
    "answer-tag-in-prompt": Check(
        WARNING, _PROMPT, "no <answer> or </answer> in what the model reads", "drop it unless it is an instruction"
    ),
    "control-token-in-prompt": Check(ERROR, _PROMPT, "no control tokens of chat templates", _DROP),
    "control-character": Check(WARNING, _PROMPT, "no control characters but line break and tab", "remove them"),
    # RL rows.
    "unknown-data-source": Check(
        ERROR,
        "data_source",
        "a data source with a grader ({sources})",
        "name a known one, or give --graders SOURCE=GRADER",
    ),
    "no-ground-truth": Check(
        ERROR, "reward_model.ground_truth", "a text that is not blank, or a number", "fill it in or drop the row"
    ),
    "truth-not-an-option": Check(
        ERROR,
        "reward_model.ground_truth",
        "the letter or text of one of extra_info.options, and of no other",
        "mend either of them",
    ),
    "not-gradable": Check(
        ERROR,
        "reward_model.ground_truth",
        "acc 1 and format 1 for the ground truth in a perfect response",
        "shorten it, or take markup out of it",
    ),
    "bad-options": Check(
        ERROR, "extra_info.options", "null, or 2 to 26 different texts that are not blank", "mend or drop the row"
    ),
    "options-alike": Check(
        WARNING,
        "extra_info.options",
        "options that differ in more than case and final punctuation",
        "see that a letter, or the very text, is asked for",
    ),
    "bad-accept": Check(ERROR, "extra_info.accept", "null, or texts that are not blank", "take the others out"),
    "unknown-asked-mode": Check(
        ERROR, "extra_info.asked_mode", "null, free, or one of {modes}", "rename it, or give --modes FILE"
    ),
    "unknown-right-mode": Check(
        ERROR, "extra_info.right_mode", "null or one of {modes}", "rename it, or give --modes FILE"
    ),
    "unknown-condition": Check(ERROR, "condition", "one of {conditions}", "rename it"),
    "unknown-split": Check(ERROR, "split", "one of {splits}", "rename it"),
    "persona-and-condition": Check(
        ERROR, "extra_info.persona", "a persona in every condition but none, and only there", "mend either of them"
    ),
    "persona-not-shown": Check(
        WARNING, "extra_info.persona", "the persona as it stands in the prompt", "write into it what the model reads"
    ),
    "no-index": Check(ERROR, "extra_info.index", "a whole number from 0", "number the rows"),
    # SFT rows.
    "no-mode-tag": Check(
        ERROR, _RESPONSE, "a mode's tag and a line break first ({tags})", "put it there, or give --modes FILE"
    ),
    "second-mode-tag": Check(ERROR, _RESPONSE, "one mode tag, at the start", "take the others out"),
    "body-not-stripped": Check(ERROR, _RESPONSE, "text at once behind the tag's line", "strip the body on the left"),
    "no-answer-block": Check(
        ERROR,
        _RESPONSE,
        'one block <answer>{{"answer": "..."}}</answer>',
        "write it with render_block, or drop the row",
    ),
    "answer-blocks": Check(ERROR, _RESPONSE, "exactly one answer block", "keep the last one, or drop the row"),
    "bad-answer-block": Check(
        ERROR,
        _RESPONSE,
        'JSON with the one key "answer" and a text or number in the block, and no think block around it',
        "write it with render_block, or drop the row",
    ),
    "block-not-last": Check(ERROR, _RESPONSE, "nothing behind the answer block", "cut what follows"),
    "control-token-in-response": Check(ERROR, _RESPONSE, "no control tokens of chat templates", _DROP),
    "mode-column": Check(ERROR, "mode", "the mode whose tag the response has", "mend the column"),
    # Token lengths.
    "template-fails": Check(ERROR, "", "messages that the chat template takes", "see what it says, or drop the row"),
    "prompt-too-long": Check(
        ERROR,
        "",
        "at most {max_prompt_length} tokens, which is --max-prompt-length",
        "drop such rows (verl leaves them out or stops), or raise data.max_prompt_length",
    ),
    "response-too-long": Check(
        ERROR,
        "",
        "tag, body and end token in {max_response_length} tokens, which is --max-response-length",
        "drop such rows, or raise data.max_response_length",
    ),
    # Several rows, several files.
    "repeated-index": Check(WARNING, "extra_info.index", "another number in each row", "number the rows"),
    "repeated-prompt": Check(WARNING, "", "each prompt once per mode asked for or shown", "drop the repeats"),
    "contradiction": Check(
        ERROR, "reward_model.ground_truth", "one ground truth for the same prompt", "drop or mend one of the rows"
    ),
    "item-differs": Check(
        ERROR, "extra_info.item", "one prompt and ground truth for all rows of an item", "number the items anew"
    ),
    "question-leak": Check(
        ERROR, "question_id", "each question in one split only", "split by question id (personadual data build does)"
    ),
    "question-in-two-files": Check(
        WARNING, "question_id", "each question in one file, where no split is named", "fill in extra_info.split"
    ),
    "persona-leak": Check(WARNING, "extra_info.persona", "each persona in one split only", "split the personas too"),
    # Balance.
    "mode-missing": Check(
        ERROR, "mode", "rows of every mode ({modes})", "add rows of it; a mode that SFT never shows is never written"
    ),
    "mode-not-shown": Check(
        WARNING, "mode", "rows of every mode ({modes})", "add rows of it, unless the model is never to answer so"
    ),
    "mode-balance": Check(
        WARNING, "mode", "no mode more than twice as often as another", "sample them equally; RL starts from this mix"
    ),
    "condition-balance": Check(
        WARNING, "condition", "no condition more than 10 times as often as another", "change the shares of the build"
    ),
    "no-baseline": Check(
        WARNING,
        "extra_info.condition",
        "test questions asked both without a persona and with an unaligned or conflicting one",
        "set personas.every_condition_in: [test] in the build; without them an evaluation gives no verdict",
    ),
    "one-right-mode": Check(
        WARNING,
        "extra_info.right_mode",
        "rows that each mode is right for",
        "add conditions; one mode wins all of these",
    ),
    # The tokenizer and its chat template.
    "no-chat-template": Check(ERROR, "chat template", "a chat template", "take the instruct model's tokenizer folder"),
    "tag-not-kept": Check(ERROR, "tokenizer", "tags that come back as they were", "choose other tags"),
    "opens-thinking": Check(
        ERROR,
        "chat template",
        "a generation prompt that opens no think block",
        "turn thinking off (--chat-template-kwargs '{{\"enable_thinking\": false}}', in training "
        "data.apply_chat_template_kwargs), or take another template: a forced tag would stand inside the thoughts",
    ),
    "tag-in-generation-prompt": Check(
        ERROR, "chat template", "no mode tag in the generation prompt", "take it out; every answer would have that mode"
    ),
    "prefix-boundary": Check(
        WARNING,
        "tokenizer",
        "the same tokens for the tag behind the prompt as by itself",
        "use data.custom_cls.path=pkg://personadual.sft data.custom_cls.name=PromptResponseDataset for SFT",
    ),
    "template-changes-turn": Check(
        WARNING,
        "chat template",
        "the RL prompt and the response, when the whole conversation is templated",
        "use data.custom_cls.path=pkg://personadual.sft data.custom_cls.name=PromptResponseDataset for SFT",
    ),
    "turns-apart": Check(
        WARNING,
        "chat template",
        "the same tokens for messages templated one by one, as verl's own SFT data set does",
        "use data.custom_cls.path=pkg://personadual.sft data.custom_cls.name=PromptResponseDataset for SFT",
    ),
    "turn-end": Check(
        WARNING,
        "chat template",
        "the tokenizer's end token behind an assistant message",
        "check that rollouts stop there (eos_token_id in generation_config.json)",
    ),
}
