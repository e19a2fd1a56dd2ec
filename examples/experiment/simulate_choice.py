"""The choice of mode alone, simulated: what each option of the estimator does to it, over many seeds in a minute.

A policy of few weights chooses between two modes; a prompt's answer in a mode is right with a fixed probability. What
it can't show is everything about the answers. What it can: which way the choice is pushed, how fast, and whether it
comes back. The advantages are those of ``personadual.advantage``.

The policy is P(personalized | prompt) = sigmoid(w . x). x is a direction that all prompts share, plus ``--kind`` times
one that questions of a kind share (facts, personal matters), plus ``--specific`` times one of the condition, all random
and of length 1 in ``--width`` dimensions: what many prompts share is learnt before what tells them apart, as in the
model. Adam, as there, with ``--noise`` for what the rest of the loss adds to the gradient: it makes the size of a push
matter less than its consistency.

    python examples/experiment/simulate_choice.py
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from personadual.advantage import dual_grpo_advantage

GENERAL, PERSONALIZED = 0, 1


class Condition(NamedTuple):
    """Prompts of it in a batch, its right mode, accuracy in general and in personalized mode."""

    count: int
    right: int
    accuracy: tuple[float, float]


# Greedy accuracy in the two modes after SFT, seed 1 of the experiment, validation split (docs/experiment.md).
BED = {
    "none": Condition(2, GENERAL, (0.61, 0.00)),
    "unaligned": Condition(2, GENERAL, (0.58, 0.00)),
    "aligned": Condition(5, PERSONALIZED, (0.22, 0.89)),
    "conflicting": Condition(2, GENERAL, (1.00, 0.00)),
    "personal": Condition(3, PERSONALIZED, (0.00, 0.75)),
}

ARMS: dict[str, Mapping[str, Any] | None] = {
    "grpo_free": None,
    "dual_grpo": {},
    "dual_grpo_decoupled": {"credit": "decoupled"},
    "alpha_1": {"prefix_weight": 1.0},
    "alpha_4": {"prefix_weight": 4.0},
    "inter_half": {"inter_coef": 0.5},
    "centred": {"gap_centering": 1.0},
    "centred_early": {"gap_centering": 1.0, "early": True},
    "floor": {"prob_floor": 0.05},
    "importance": {"prefix_importance": 1.0},
    "importance_half": {"prefix_importance": 0.5},
    "taper": {"prefix_taper": 1.0},
    "centred_floor": {"gap_centering": 1.0, "prob_floor": 0.05},
    "centred_importance": {"gap_centering": 1.0, "prefix_importance": 1.0},
    "centred_alpha_4": {"gap_centering": 1.0, "prefix_weight": 4.0},
    "taper_alpha_4": {"prefix_taper": 1.0, "prefix_weight": 4.0},
    # The recommended settings' choice: what else they change is about answers and the rest of the tag.
    "recommended": {"credit": "decoupled", "prefix_weight": 4.0, "prefix_taper": 1.0},
}


def advantages(
    options: Mapping[str, Any] | None, rewards: torch.Tensor, modes: torch.Tensor, groups: torch.Tensor, p: torch.Tensor
) -> torch.Tensor:
    """(B,) advantage of each row's prefix, a token long; GRPO's for None. ``p``: (B,) of the row's own mode."""
    if options is None:
        mean = torch.zeros(int(groups.max()) + 1, dtype=rewards.dtype).index_add_(0, groups, rewards)
        size = torch.bincount(groups)
        centred = rewards - (mean / size)[groups]
        var = torch.zeros_like(mean).index_add_(0, groups, centred**2) / (size - 1)
        return centred / (var.sqrt()[groups] + 1e-6)
    mask = torch.ones(len(rewards), 2, dtype=rewards.dtype)
    lengths = torch.ones(len(rewards), dtype=torch.long)
    shares = torch.full_like(rewards, 0.5)
    return dual_grpo_advantage(
        rewards, modes, groups, lengths, mask, choice_probs=p, sampling_shares=shares, **options
    )[0][:, 0]


def run(
    options: Mapping[str, Any] | None, bed: Mapping[str, Condition], args: argparse.Namespace, seed: int
) -> np.ndarray:
    """(steps + 1, conditions) float: P(personalized) before each step and after the last."""
    rng = np.random.default_rng(seed)
    names = list(bed)
    prompt = np.repeat(np.arange(len(names)), [bed[name].count for name in names])
    row = np.repeat(prompt, args.rollouts)
    groups = torch.arange(len(prompt)).repeat_interleave(args.rollouts)
    directions = rng.standard_normal((len(names) + 3, args.width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    kind = directions[[1 if name == "personal" else 2 for name in names]]
    features = directions[0] + args.kind * kind + args.specific * directions[3:]
    accuracy = np.array([bed[name].accuracy for name in names])
    start = np.log(args.start / (1 - args.start))
    weights, first, second = np.zeros((3, args.width))
    history = []
    for step in range(args.steps):
        logit = start + features @ weights
        chosen = 1 / (1 + np.exp(-logit))
        history.append(chosen)
        if options is None:
            mode = (rng.random(len(row)) < chosen[row]).astype(int)
        else:
            mode = np.tile(np.arange(args.rollouts) % 2, len(prompt))
        # What the model knows it knows in every rollout of the prompt.
        known = rng.random((len(prompt), 2)) < accuracy[prompt]
        reward = 0.9 * known[np.repeat(np.arange(len(prompt)), args.rollouts), mode] + 0.1
        own = np.where(mode == PERSONALIZED, chosen[row], 1 - chosen[row])
        current = dict(options) if options is not None else None
        if current is not None and current.pop("early", False):
            current["gap_centering"] *= max(0.0, 1 - 2 * step / args.steps)
        value = advantages(current, torch.tensor(reward), torch.tensor(mode), groups, torch.tensor(own)).numpy()
        push = value * ((mode == PERSONALIZED) - chosen[row])
        push -= args.kl * (chosen * (1 - chosen) * (logit - start))[row]
        gradient = (push[:, None] * features[row]).mean(0) + args.noise * rng.standard_normal(args.width)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scale = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
        weights = weights + args.rate * min(1, (step + 1) / 6) * first / (1 - 0.9 ** (step + 1)) / scale
    history.append(1 / (1 + np.exp(-(start + features @ weights))))
    return np.array(history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rollouts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0.06, help="learning rate (0.06)")
    parser.add_argument("--kind", type=float, default=0.4, help="size of a kind's direction (0.4)")
    parser.add_argument("--specific", type=float, default=0.2, help="size of a condition's own direction (0.2)")
    parser.add_argument("--noise", type=float, default=0.01, help="of the rest of the gradient, per dimension (0.01)")
    parser.add_argument("--width", type=int, default=200, help="dimensions (200)")
    parser.add_argument("--kl", type=float, default=0.04, help="KL coefficient (0.04)")
    parser.add_argument("--start", type=float, default=0.55, help="P(personalized) before (0.55)")
    parser.add_argument("--mix", type=int, nargs=len(BED), metavar="N", help=f"prompts in a batch of {', '.join(BED)}")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM", help="these alone")
    args = parser.parse_args()
    counts = args.mix or [condition.count for condition in BED.values()]
    bed = {name: BED[name]._replace(count=count) for name, count in zip(BED, counts, strict=True)}
    torch.set_num_threads(1)
    shown = [step for step in (5, 10, 20, 30, 45, 60) if step <= args.steps]
    wrong_if = np.array([condition.right == GENERAL for condition in bed.values()])
    print(f"| arm | {' | '.join(f'error at {step}' for step in shown)} | {' | '.join(bed)} | ever collapsed |")
    print("|" + " --- |" * (len(shown) + len(bed) + 2))
    for arm in args.arms:
        history = np.stack([run(ARMS[arm], bed, args, seed) for seed in range(args.seeds)])
        error = np.where(wrong_if, history, 1 - history)
        cells = [f"{error[:, step].mean():.2f}" for step in shown]
        cells += [f"{value:.2f}" for value in history[:, -1].mean(0)]
        # One mode all but gone in every condition, right or wrong.
        collapsed = ((history < 0.05).all(2) | (history > 0.95).all(2)).any(1).mean()
        print(f"| `{arm}` | " + " | ".join(cells) + f" | {collapsed:.2f} |")


if __name__ == "__main__":
    main()
