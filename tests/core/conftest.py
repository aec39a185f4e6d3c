"""How the core's property tests run: as many examples as count, and no verdict by the clock of a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("core", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")

# For `script/mutate`: thousands of runs in one process, each of the same few examples.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=15,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
