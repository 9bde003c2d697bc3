"""The tests of a file lie where the file lies."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "hushbell"

ACROSS = {"chaos", "contracts", "fuzz", "interop", "project", "spec", "types", "vectors"}
"""Folders whose tests concern more than one folder of the source."""

TOPICS = {
    "bad_input": "hostile bytes, through the whole server",
    "bandwidth": "bytes that a client sends and receives",
    "cases": "cases of the client that cross its modules",
    "corpus": "recorded requests of gorush",
    "dumps": "databases of older versions",
    "durability": "kills and full disks, over every database",
    "hostile": "a peer that breaks the protocol, through all its layers",
    "laws": "properties that hold for all inputs, over a whole folder",
    "main_job": "registration, query and push over libp2p",
    "memory": "memory that a flood may cost",
    "on_real_hosts": "services between two libp2p hosts",
    "on_tcp": "the relay between two libp2p hosts",
    "readme": "the program in the folder's README",
    "rules": "gorush's fields, rule by rule",
    "silence": "input that gets no response",
    "status_go": "messages that status-go encoded",
    "transcripts": "recorded conversations, byte for byte",
    "unlinkability": "what an observer of a client can link",
    "vectors": "vectors that others made, over a whole folder",
    "wrong_input": "commands with wrong arguments and files",
}
"""Files that test a topic of their folder and not one module of it."""

FILES = [path for path in sorted(TESTS.rglob("test_*.py")) if path.relative_to(TESTS).parts[0] not in ACROSS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_file_lies_where_its_module_lies(path: Path) -> None:
    name = path.stem.removeprefix("test_")
    module = SOURCE / path.parent.relative_to(TESTS) / name

    assert name in TOPICS or module.is_dir() or module.with_suffix(".py").is_file(), (
        f"no module {module.relative_to(SOURCE)}: move the file, or add its topic to TOPICS with what it tests"
    )


def test_no_topic_is_listed_that_no_file_tests() -> None:
    assert {path.stem.removeprefix("test_") for path in FILES} >= set(TOPICS)
