"""When a failure sign shows, why then, and what to look at next."""

from __future__ import annotations

from personadual.reward_fns.settings import Settings
from personadual.settings import DualGRPOSettings

# As dual_grpo/collapsed: with fewer than 1 free sample in 20 in a mode, the model's own choice hardly meets it.
COLLAPSE_BELOW = DualGRPOSettings.collapse_below
# After SFT the tags hold nearly all of the first token's probability (0.98 in the quickstart). A tenth of it, or nine
# free answers in ten without a tag, is a model that was never taught them.
UNTAUGHT_PROBABILITY, UNTAUGHT_INVALID = 0.1, 0.9
# A model taught on tagged answers alone hardly ever leaves the tag out; 1 in 50 is more than such a slip.
INVALID_ABOVE = 0.02
# Where no sample was free: what the tags leave of the probability. bf16 rounding and sampling tails alone leave 0.03.
UNTAGGED_ABOVE = 0.1
# What an answer gets for its form alone, unless the reward was configured otherwise (`plot --format-weight`). A mode
# whose mean never exceeds it was never right.
FORMAT_ONLY = Settings().format_weight
ROUNDING = 1e-3
# One prompt in 45 with one mode right and the other wrong (0.9 apart): fewer teach nothing above the noise.
GAP_BELOW = 0.02
# A cut-off answer has no answer block and no reward: one in twenty is as much as a real gap between modes.
CUT_ABOVE = 0.05

UNTAUGHT, INVALID, NO_REWARD = "no mode learnt in SFT", "invalid tags", "reward 0"
NO_CONTRAST, COLLAPSE, LENGTHS = "no contrast", "collapse", "lengths drift"
LOOK_NEXT = {
    UNTAUGHT: "the model path (is it SFT's export?), SFT's loss, that its rows start with a tag, and that the chat "
    "template opens no think block: personadual data inspect",
    INVALID: "when it began. From the start: answers without a tag in the SFT file, the sampling temperature. Later: "
    "the learning rate, kl_loss_coef; forced rollouts never punish a lost tag: prefix_anchor=1 with "
    "prefix_scope=deciding keeps it, free_share=0.25 samples it",
    NO_REWARD: "the rows through the grader (personadual data validate), ground_truth and the source's grader, then a "
    "few rollouts in rollout_data_dir",
    NO_CONTRAST: "the forced accuracies (acc_forced_*): are there prompts that one mode answers and the other does "
    "not? More rollouts per prompt, a higher temperature, other data",
    COLLAPSE: "which mode wins where (win_*). If the lost one wins somewhere: prefix_taper=1 or the preset "
    "recommended, a lower learning rate, sources evened out by prompts with a gap. A larger kl_loss_coef helps only "
    "before P(mode) is below 1/14 of SFT's",
    LENGTHS: "data.max_response_length, and whether answers end: the turn end in SFT's loss, repetition in "
    "rollout_data_dir",
}
