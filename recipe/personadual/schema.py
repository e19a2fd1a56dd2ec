"""Names that more than one stage of the pipeline uses: data columns, conditions, fields of a rollout.

Written once here; data_prep writes them, rollout, reward, metrics and evaluation read them.
"""

# Columns of verl's RL parquet (verl/utils/dataset/rl_dataset.py) and of its SFT parquet (multiturn_sft_dataset.py).
PROMPT = "prompt"
DATA_SOURCE = "data_source"
ABILITY = "ability"
REWARD_MODEL = "reward_model"
EXTRA_INFO = "extra_info"
MESSAGES = "messages"
GROUND_TRUTH = "ground_truth"

# Fields of ``extra_info``.
INDEX = "index"  # int, row number in its file
ITEM = "item"  # int, shared by the rows that put one (question, persona) under several modes
SPLIT = "split"  # train | val | test
QUESTION_ID = "question_id"  # str, shared by all conditions of a question
CONDITION = "condition"  # one of CONDITIONS
RIGHT_MODE = "right_mode"  # name of the mode known to be better, None where there is none
ASKED_MODE = "asked_mode"  # FREE, or the name of the mode this row is forced into (validation and test)
PERSONA = "persona"  # str, as shown to the model; "" for none
QUESTION = "question"  # str, without persona and answer instruction
OPTIONS = "options"  # list of option texts (A, B, ... in order), None for an open question
ACCEPT = "accept"  # list of further accepted answers beside the ground truth, None or empty for none
SOURCE = "source"  # where the question comes from
LICENCE = "licence"  # of that source
SUBJECT = "subject"  # task or subset within the source, "" for none

# What the persona has to do with the question.
NONE, UNALIGNED, ALIGNED, CONFLICTING = "none", "unaligned", "aligned", "conflicting"
PERSONAL, AMBIGUOUS = "personal", "ambiguous"
CONDITIONS = (NONE, UNALIGNED, ALIGNED, CONFLICTING, PERSONAL, AMBIGUOUS)
UNKNOWN = "unknown"  # of a test row that does not say its condition

# Conditions that evaluation makes of test items: another item's persona, and a persona that orders a mode (the prefix
# and the mode's name).
SHUFFLED = "shuffled"
ORDERS_PREFIX = "orders_"
ORDERS_GENERAL, ORDERS_PERSONALIZED = ORDERS_PREFIX + "general", ORDERS_PREFIX + "personalized"
DERIVED_CONDITIONS = (SHUFFLED, ORDERS_GENERAL, ORDERS_PERSONALIZED)

# ASKED_MODE of a row whose mode the model chooses itself.
FREE = "free"

# ``extra_fields`` of a rollout (verl's AgentLoopOutput): {"mode": int, "prefix_len": int, "usual_tokens": bool,
# "forced": bool}; usual_tokens: the prefix is in the tokens in which it is forced.
# verl merges it into the reward function's ``extra_info`` under the same key.
ROLLOUT_FIELD = "dual_grpo"

# The agent loop's name in verl's registry, and the batch field by which its manager names the phase.
AGENT_NAME = "dual_grpo_agent"
PHASE = "dual_grpo_phase"
TRAIN, VALIDATE = "train", "validate"

# Data sources of the quickstart are this prefix and a condition, so that verl reports each condition by itself.
QUICKSTART_SOURCE_PREFIX = "quickstart_"

# Keys of a reward function's result beside one ``mode_<name>`` indicator per mode.
SCORE, ACC, FORMAT = "score", "acc", "format"
MODE_KEY_PREFIX = "mode_"
INVALID = "invalid"
