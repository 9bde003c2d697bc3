"""What every test shares: generated examples are the same on every run, so that a red test stays red."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "hushbell",
    derandomize=True,
    deadline=None,  # a busy machine is no bug
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("hushbell")
