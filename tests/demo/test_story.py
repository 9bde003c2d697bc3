from pathlib import Path

from hushbell.demo.story import Story


async def test_the_main_job_runs_from_registration_to_a_push_that_survives_a_restart(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    await Story(tmp_path, lambda who, what: told.append((who, what))).once()

    rings = [what for who, what in told if who == "Alice's phone" and what.startswith("rings")]
    assert rings == ["rings: “You have a new message”"] * 2
