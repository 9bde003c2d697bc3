"""
The API of gorush, held to the real one: the recorded corpus, and more than 300 cases of our own.

The real gorush is built from its pinned module and must still do what was recorded; ours must do the same, with the
differences that are listed here and no others. A listed difference that no longer differs is a failure, too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from hushbell.testing.child_processes import kill_with_parent

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
CORPUS = REPOSITORY / "tests" / "vectors" / "gorush-corpus.json"
MORE = HERE / "more.json"
CASES = {case["name"]: case for path in (CORPUS, MORE) for case in json.loads(path.read_bytes())["cases"]}
PROFILES = ("async", "sync", "masked")
BUILD = 1200  # seconds, cold
RUN = 600  # seconds for one profile on a busy machine

TYPES = {bool: "<bool>", int: "<int>", float: "<number>", str: "<str>", list: "<array>", dict: "<object>"}

EXACT = "numbers are sent on as they came; there they go through a float"
FRACTIONS = "fractions of a second are kept; there they are lost or misread"
SAID = "what can never be sent is named in the answer's logs; there it vanishes without a word"
PROBED = "a token that production does not know is tried in the sandbox before it is given up"
NO_EMPTY_SOUND = "an empty sound, which gRPC callers cannot leave out there, is no sound"
NO_EMPTY_BLOCKS = "empty blocks, which Google takes for nothing, are left out"
SILENT = "a silent push says that it is one, as Apple demands; there it is sent as an alert"
QUOTA = (
    "after QUOTA_EXCEEDED everything for the project rests for a minute, as Google asks; it is kept, and goes out later"
)
EMPTY = "an empty token is named in the logs and does not keep its neighbour from being pushed to"

DIFFERENCES = {
    "duplicate-list": "fields of an overwritten list do not leak into the list that overwrites it",
    "token-empty-string": "an empty token is refused without asking Apple, and named in the logs",
    "ios-all-fields": "one apns-id cannot name two pushes, so each gets its own",
    "ios-silent": SILENT,
    "more-ios-silent-priority-high": SILENT,
    "ios-data-bigint": EXACT,
    "sync-ios-all-fields": EXACT,
    "sync-android-all-fields": EXACT + "; " + FRACTIONS,
    "ios-to-ignored": "`to` is a token on every platform",
    "ios-header-injection": SAID,
    "android-topic-and-condition": SAID,
    "android-bad-color": SAID,
    "sync-android-bad-color": SAID,
    "sync-android-topic-and-condition": SAID,
    "more-android-image-not-https": SAID,
    "more-android-priority-bogus": SAID,
    "more-android-priority-upper": SAID,
    "more-android-ttl--1s": SAID,
    "more-android-colour-short": SAID,
    "more-android-loc-args-without-key": SAID,
    "more-android-topic-odd": SAID,
    "more-huawei-ttl-bogus": SAID,
    "more-android-empty-token": EMPTY,
    "more-token-null": EMPTY,
    "more-ios-data-aps": "data that would replace Apple's whole dictionary is refused, and named in the logs",
    "more-ios-token-odd": "a token with a dot would leave the path it belongs to, so Apple is not asked",
    "android-all-fields": FRACTIONS,
    "more-android-ttl-3.5s": FRACTIONS,
    "android-501-tokens": "a list of tokens has no limit of its own; there nothing is sent",
    "grpc-ios": NO_EMPTY_SOUND,
    "grpc-ios-development": NO_EMPTY_SOUND,
    "more-grpc-ios-no-message": NO_EMPTY_SOUND,
    "more-grpc-ios-alert": "actionLocKey is the caller's; there it is filled from another field. " + NO_EMPTY_SOUND,
    "grpc-android-topic": NO_EMPTY_BLOCKS,
    "more-grpc-android-message": NO_EMPTY_BLOCKS,
    "sync-ios-400": PROBED,
    "masked-ios-two-failures": PROBED,
    "sync-android-500": QUOTA,
}
"""Where ours differs on purpose, and why. Keys and headers that are only added count for nothing."""

Observed = dict[str, Any]


@pytest.fixture(scope="session")
def gorush_binary() -> Path:
    """Build the real gorush once for a checkout; two minutes cold, a second warm."""
    if shutil.which("go") is None:
        pytest.skip("the real gorush needs Go 1.25 or newer: install the package golang")
    binary = REPOSITORY / "build" / "gorush"
    binary.parent.mkdir(exist_ok=True)
    command = ["go", "build", "-mod=readonly", "-o", str(binary), "github.com/appleboy/gorush"]
    built = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=BUILD)
    assert built.returncode == 0, built.stderr
    return binary


@pytest.fixture(scope="session")
def namespaces() -> list[str]:
    """Return the command in front of the real gorush, which finds its providers by nothing but their names."""
    for command in (["unshare", "-n", "-m"], ["unshare", "-r", "-n", "-m"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    pytest.skip("the real gorush needs a network and a mount namespace, and this machine refuses them (unshare -n -m)")


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Return what ours does with every case."""
    return _replayed(["--subject", "ours"], [], tmp_path_factory)


@pytest.fixture(scope="session")
def gorush(gorush_binary: Path, namespaces: list[str], tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Return what the real one does with every case."""
    return _replayed(["--subject", "gorush", "--binary", str(gorush_binary)], namespaces, tmp_path_factory)


def _replayed(arguments: list[str], before: list[str], folders: pytest.TempPathFactory) -> Observed:
    """Run all profiles side by side: most of their time is waiting. What one corpus breaks, the other does not meet."""
    running = []
    for profile, corpus in product(PROFILES, (CORPUS, MORE)):
        folder = folders.mktemp(profile)
        command = [*before, sys.executable, str(HERE / "replay.py"), *arguments, "--profile", profile]
        command += ["--folder", str(folder), "--out", str(folder / "out.json"), str(corpus)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        kill_with_parent(process.pid)
        running.append((folder, process))
    found: Observed = {}
    for folder, process in running:
        _, errors = process.communicate(timeout=RUN)
        assert process.returncode == 0, errors[-4000:]
        found |= json.loads((folder / "out.json").read_bytes())
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_real_gorush_still_does_what_was_recorded(name: str, gorush: Observed) -> None:
    assert differences(CASES[name], gorush[name], extra=False) == []


@pytest.mark.parametrize("name", CASES)
def test_ours_does_what_the_real_gorush_did_but_for_the_listed_differences(name: str, ours: Observed) -> None:
    found = differences(CASES[name], ours[name], extra=True)

    if name in DIFFERENCES:
        assert found, "no longer a difference: take it off the list"
    else:
        assert found == []


def test_every_listed_difference_names_a_case_and_gives_a_reason() -> None:
    assert DIFFERENCES.keys() <= CASES.keys()
    assert all(len(reason) > 20 for reason in DIFFERENCES.values())


def test_a_difference_is_seen() -> None:
    case = CASES["ios-minimal"]
    seen: Observed = {"response": case["response"], "providers": case["providers"]}
    worse = json.loads(json.dumps(seen).replace('"hello"', '"hallo"'))
    more = json.loads(json.dumps(seen).replace('"success": "ok"', '"success": "ok", "more": 1'))

    assert differences(case, seen, extra=False) == []
    assert differences(case, worse, extra=True) == ["providers[0].json.aps.alert: 'hello' became 'hallo'"]
    assert differences(case, more, extra=True) == []
    assert differences(case, more, extra=False) == ["body.more was added"]


# Comparing.


def differences(case: dict[str, Any], seen: Observed, *, extra: bool) -> list[str]:
    """Return how an observation differs from the record; ``extra`` lets keys be added."""
    compare = _compare_calls if "grpc" in case else _compare_answers
    found = compare(case, seen["response"], extra)
    wanted, providers = case.get("providers", []), seen["providers"]
    if case.get("providers_summary"):
        count = case["providers_count"]
        if len(providers) != count:
            found.append(f"{count} requests became {len(providers)}")
        providers = providers[:1]
    volatile = case.get("provider_volatile", [])
    return found + _diff(_masked(wanted, volatile), _masked(providers, volatile), "providers", extra=extra)


def _compare_calls(case: dict[str, Any], got: dict[str, Any], _extra: bool) -> list[str]:
    wanted = case["response"]
    keys = ["grpc_status", "messages_hex"] + ([] if case.get("message_free") else ["grpc_message"])
    return [
        f"{key}: {wanted[key]!r} became {got[key]!r}"
        for key in keys
        if (unquote(wanted[key]) if key == "grpc_message" else wanted[key]) != got[key]
    ]


def _compare_answers(case: dict[str, Any], got: dict[str, Any], extra: bool) -> list[str]:
    wanted, found = case["response"], []
    if got["status"] != wanted["status"]:
        found.append(f"status: {wanted['status']} became {got['status']}")
    for name in ("content-type", "location", "allow"):
        before, after = _header(wanted, name), _header(got, name)
        if before and before.replace(" ", "").lower() != (after or "").replace(" ", "").lower():
            found.append(f"{name}: {before!r} became {after!r}")
    if _header(wanted, "x-gorush-version") is not None and _header(got, "x-gorush-version") is None:
        found.append("no X-Gorush-Version")
    kind, volatile = wanted["body"]["kind"], case.get("volatile", [])
    if kind != "any":
        before, after = _in_order(wanted["body"]["value"]), _in_order(got["body"]["value"])
        found += _diff(_masked(before, volatile), _masked(after, volatile), "body", extra=extra or kind == "metrics")
    return found


def _header(response: dict[str, Any], name: str) -> str | None:
    return next((value for key, value in response["headers"] if key.lower() == name), None)


def _in_order(body: Any) -> Any:
    """Put log entries in order: workers write them as they come."""
    if isinstance(body, dict) and isinstance(body.get("logs"), list):
        return {**body, "logs": sorted(body["logs"], key=lambda entry: [entry["token"], entry["error"]])}
    return body


def _masked(value: Any, paths: list[str], here: str = "") -> Any:
    """Replace what changes from run to run by its type."""
    if any(re.fullmatch(path, here) for path in paths) and not (isinstance(value, str) and value.startswith("<")):
        return TYPES.get(type(value), "<null>")
    if isinstance(value, dict):
        return {key: _masked(one, paths, f"{here}.{key}" if here else key) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, paths, f"{here}.{at}" if here else str(at)) for at, one in enumerate(value)]
    return value


def _diff(wanted: Any, got: Any, where: str, *, extra: bool) -> list[str]:
    if {str(wanted), str(got)} <= {"<int>", "<number>"}:
        return []
    if isinstance(wanted, dict) and isinstance(got, dict):
        found = [f"{where}.{key} is missing" for key in wanted if key not in got]
        found += [f"{where}.{key} was added" for key in got if key not in wanted and not extra]
        for key in wanted.keys() & got.keys():
            found += _diff(wanted[key], got[key], f"{where}.{key}", extra=extra)
        return sorted(found)
    if isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            return [f"{where}: {len(wanted)} items became {len(got)}"]
        return [
            line
            for at, (one, other) in enumerate(zip(wanted, got, strict=True))
            for line in _diff(one, other, f"{where}[{at}]", extra=extra)
        ]
    same = wanted == got and isinstance(wanted, bool) == isinstance(got, bool)
    return [] if same else [f"{where}: {wanted!r:.200} became {got!r:.200}"]
