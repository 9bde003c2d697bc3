"""What an operator sees: numbers without identities, lines without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hushbell.config.settings import LogSettings
from hushbell.observability.logs import JsonLines, blurred, logger, redacted, start_logs
from hushbell.observability.metrics import Counters

APPLE_TOKEN = "740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad"
GOOGLE_TOKEN = "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1-abcdefghijklmnop"
ACCESS_TOKEN = "9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a"
COMPRESSED_KEY = "03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138"
BASE64_KEY = "q1w2e3r4t5y6u7i8o9p0aAsSdDfFgGhHjJkKlL12345="
SECRETS = [APPLE_TOKEN, GOOGLE_TOKEN, ACCESS_TOKEN, "0x04" + COMPRESSED_KEY, BASE64_KEY, APPLE_TOKEN.upper()]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("hushbell")
    before = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    start_logs(LogSettings(level="debug"), stream)
    yield stream
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def last(stream: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return line


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_does_not_come_out_whichever_way_it_went_in(lines: io.StringIO, secret: str) -> None:
    log = logger("test")

    log.warning("token %s refused", secret)
    log.warning("token=%r", {"token": secret})
    log.warning(f"({secret})")  # noqa: G004
    log.warning("extra", extra={"token": secret, "nested": {secret: [secret]}})
    log.warning("bytes %s", secret.encode(), extra={"raw": secret.encode()})
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")

    assert len(lines.getvalue().splitlines()) == 6
    assert secret.removeprefix("0x") not in lines.getvalue()


def test_bytes_as_python_shows_them_do_not_come_out(lines: io.StringIO) -> None:
    logger("test").info("payload %r", bytes(range(128, 160)))

    assert "\\x" not in last(lines)["message"]


@pytest.mark.parametrize(
    "text",
    [
        "store opened at hushbell-data/server.sqlite",
        "gateway http://127.0.0.1:8088 answered 503, again in 4.0 s",
        "listening on /waku/2/rs/16/32",
        "refused: server.query_keys_per_second",
    ],
)
def test_what_an_operator_needs_stays_readable(text: str) -> None:
    assert redacted(text) == text


def test_a_line_says_when_roughly_how_bad_from_where_and_what(lines: io.StringIO) -> None:
    logger("runtime").info("batch of %d", 3, extra={"took": 0.5})

    line = last(lines)
    assert line["time"].endswith(":00:00Z")
    assert (line["level"], line["from"], line["message"], line["took"]) == (
        "info",
        "hushbell.runtime",
        "batch of 3",
        0.5,
    )


def test_times_are_rounded_down() -> None:
    assert blurred(7199.9, 3600) == "1970-01-01T01:00:00Z"
    assert blurred(7199.9, 60) == "1970-01-01T01:59:00Z"
    assert blurred(7199.9, 0) == "1970-01-01T01:59:59Z"


def test_a_line_with_wrong_arguments_stops_nobody() -> None:
    record = logging.LogRecord("hushbell.test", logging.INFO, "", 0, "batch of %d", ("x",), None)

    line = json.loads(JsonLines(3600).format(record))

    assert line["message"] == "batch of %d (its arguments do not fit)"


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    start_logs(LogSettings(level="warning"), lines)

    logger("test").info("quiet")

    assert not lines.getvalue()


def test_metrics_are_counted_and_shown() -> None:
    metrics = Counters()
    metrics.counter("envelopes_refused", "Envelopes over a bound.").add(2)
    metrics.gauge("outbox_pending", "Pushes without a final state.").put(7)

    assert metrics.counter("envelopes_refused", "").value == 2
    assert metrics.snapshot() == {"envelopes_refused": 2, "outbox_pending": 7}
    assert metrics.exposition() == (
        "# HELP hushbell_envelopes_refused_total Envelopes over a bound.\n"
        "# TYPE hushbell_envelopes_refused_total counter\n"
        "hushbell_envelopes_refused_total 2\n"
        "# HELP hushbell_outbox_pending Pushes without a final state.\n"
        "# TYPE hushbell_outbox_pending gauge\n"
        "hushbell_outbox_pending 7\n"
    )


def test_what_happens_is_counted_without_announcing_it() -> None:
    metrics = Counters()

    metrics.count("envelopes_received", 3)
    metrics.count("envelopes_received")

    assert metrics.snapshot() == {"envelopes_received": 4}
    assert "# HELP hushbell_envelopes_received_total Envelopes received.\n" in metrics.exposition()


def test_a_metric_keeps_its_kind_and_its_name() -> None:
    metrics = Counters()
    counter = metrics.counter("rings", "Rings.")

    with pytest.raises(ValueError, match="only grows"):
        counter.add(-1)
    with pytest.raises(ValueError, match="only a gauge"):
        counter.put(1)
    with pytest.raises(ValueError, match="is a counter"):
        metrics.gauge("rings", "Rings.")
    with pytest.raises(ValueError, match="named in"):
        metrics.counter(APPLE_TOKEN + "{", "")
