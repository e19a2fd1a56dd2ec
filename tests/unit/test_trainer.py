"""What the trainer mixin makes of verl's values, without a training."""

import pytest

from personadual import schema
from personadual.trainer import _cached_share


@pytest.mark.parametrize(("forced", "share"), [(True, 0.75), (False, 1.0)])
def test_a_forced_prefix_belongs_to_what_the_cache_could_serve(forced, share):
    """The engine reads a forced prefix behind the prompt; one that the model wrote it does not read."""
    fields = {"num_cached_tokens": 12, schema.ROLLOUT_FIELD: {"mode": 0, "prefix_len": 4, "forced": forced}}
    assert _cached_share(fields, {"prompt_len": 12}) == share


def test_the_share_is_unknown_where_the_engine_or_the_row_does_not_say():
    for fields, tag in (({}, {"prompt_len": 3}), ({"num_cached_tokens": 3}, {})):
        assert _cached_share(fields, tag) != _cached_share(fields, tag), "not a number"
