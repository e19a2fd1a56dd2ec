"""Rule-based rewards: what a response is worth, R = 0.9 * accuracy + 0.1 * format by default.

``compute_score`` is the one entry. verl calls it per response with ``reward.custom_reward_function.path=
pkg://personadual.reward_fns``; its keywords are ``reward.custom_reward_function.reward_kwargs``.

Where what is:
    compose         ``compute_score``
    settings        its keywords, and ``read_settings`` to have them refused before training starts
    graders         which data source is graded how: ``objective`` or ``personalized``
    matching        whether an answer is the ground truth, an option letter or an option text
    normalise       when two texts are the same answer (case, space, punctuation, numbers)
    answer_block    the one answer block of a response
    authors         the released rules of the paper's authors, for comparison
    managers        the same as verl reward managers; not imported here, because it imports verl and torch
"""

from personadual.reward_fns.compose import compute_score
from personadual.reward_fns.graders import check_data_sources, grader_of
from personadual.reward_fns.settings import Settings, read_settings

__all__ = ["Settings", "check_data_sources", "compute_score", "grader_of", "read_settings"]
