"""What must not be in the repository, and what its documents promise."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Written in parts, or this file would be found.
REGISTRIES = [
    "pypi." + "org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "proxy." + "golang.org",
    "crates" + ".io",
    "deb." + "debian.org",
    "maven" + ".org",
]
PLACES = re.compile(rb"(?<![\w.])/(?:" + rb"work|root|home/[a-z]+)/")


def committed() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git repository here")
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in committed()
        for content in [path.read_bytes()]
        for host in REGISTRIES
        if host.encode() in content
    ]

    assert not guilty


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    guilty = [str(path.relative_to(ROOT)) for path in committed() if PLACES.search(path.read_bytes())]

    assert not guilty


def test_the_first_block_of_the_readme_has_exactly_the_two_commands() -> None:
    block = re.search(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert block is not None
    assert block[1].splitlines() == ["make demo", "make test"]


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]

    dead = [
        f"{document.name}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]

    assert not dead


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9]+)+(?:\.py)?)`", (ROOT / "ARCHITECTURE.md").read_text()))
    source = ROOT / "src" / "hushbell"

    missing = [name for name in named if not ((source / name).exists() or (source / f"{name}.py").exists())]

    assert named
    assert not missing


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_every_locked_package_has_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements" / lock).read_text())[1:]

    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locks = {name: (ROOT / "requirements" / name).read_text() for name in ("run.txt", "dev.txt")}
    wanted = {"run.txt": project["project"]["dependencies"], "dev.txt": project["dependency-groups"]["dev"]}

    missing = [
        name
        for lock, requirements in wanted.items()
        for requirement in requirements
        for name in re.findall(r"^[a-z0-9-]+", requirement)
        if f"\n{name}==" not in locks[lock]
    ]

    assert not missing
