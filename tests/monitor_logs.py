"""Logs of a run as verl writes them, for the tests of ``personadual plot``."""

import json

from personadual import cli


def write(path, steps):
    """``steps``: {step: metrics}, as verl's file logger writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"step": s, "data": d}) + "\n" for s, d in steps.items()), encoding="utf-8")
    return path


def metrics(
    p=(0.5, 0.5),
    reward=((1.0, 0.2), (0.2, 1.0)),
    gap=0.5,
    invalid=0.0,
    lengths=(30, 0.02, 0.1),
    sources=("none", "personal"),
):
    """One step of training and validation: P(general) of two sources, rewards per source and mode; ``lengths``: the
    longest response, the share of those as long, the lowest score and, if given, the mean score of a highest of 1."""
    names = ("response_length/max", "response_length/clip_ratio", "critic/score/min", "critic/score/mean")
    data = {"actor/kl_loss": 0.01, "response_length/mean": 20.0, "critic/score/max": 1.0}
    data |= dict(zip(names, lengths, strict=False))
    for source, general, (first, second) in zip(sources, p, reward, strict=True):
        scope, val = f"dual_grpo/quickstart_{source}", f"val-dual/quickstart_{source}"
        data |= {
            f"{scope}/prob_general/mean": general * (1 - invalid),
            f"{scope}/prob_personalized/mean": (1 - general) * (1 - invalid),
            f"{scope}/reward_general/mean": first,
            f"{scope}/reward_personalized/mean": second,
            f"{scope}/win_general/mean": float(first > second),
            f"{scope}/win_personalized/mean": float(second > first),
            f"{scope}/mode_gap/mean": gap,
            f"{scope}/share_invalid/mean": 0.0,
            f"{val}/share_general/mean": general * (1 - invalid),
            f"{val}/share_personalized/mean": (1 - general) * (1 - invalid),
            f"{val}/share_invalid/mean": invalid,
            f"{val}/hybrid_accuracy/mean": 0.5,
        }
    return data


def plot(*arguments):
    return cli.main(["plot", *map(str, arguments)])
