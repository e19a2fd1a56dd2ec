"""Settings of all tests."""

from hypothesis import settings

# How fast an example runs depends on the machine; speed is benchmarks/'s business, not a test's.
settings.register_profile("personadual", deadline=None)
settings.load_profile("personadual")
