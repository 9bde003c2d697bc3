"""Rules say which requests get which reply."""

from typing import Any

import pytest

from hushbell.testing.mock.http import Fault
from hushbell.testing.mock.rules import SUCCESS, ScriptedReply, parse_rules


@pytest.mark.parametrize(
    "reply,parsed",
    [
        ({}, SUCCESS),
        ({"status": 410, "act": "close"}, ScriptedReply(status=410, fault=Fault.CLOSE)),
        ({"blackhole": True}, ScriptedReply(fault=Fault.BLACKHOLE)),
        ({"delay_ms": 30, "body": "x"}, ScriptedReply(delay=0.03, body=b"x")),
        ({"headers": {"Location": "/x"}}, ScriptedReply(headers=(("location", "/x"),))),
    ],
)
def test_a_rule_holds_the_reply_that_its_json_describes(reply: Any, parsed: ScriptedReply) -> None:
    [rule] = parse_rules({"rules": [{"reply": reply}]})

    assert rule.reply == parsed


@pytest.mark.parametrize(
    "rules",
    [
        1,
        {"rules": 1},
        [1],
        [{"when": {}}],
        [{"match": 1}],
        [{"match": {"tokn": "a"}}],
        [{"match": {"nth": "2"}}],
        [{"match": {"nth": 0}}],
        [{"reply": 1}],
        [{"reply": {"stauts": 1}}],
        [{"reply": {"act": "explode"}}],
        [{"reply": {"headers": "x"}}],
        [{"times": "2"}],
        [{"reply": {"status": "many"}}],
    ],
)
def test_rules_with_unknown_names_are_refused(rules: Any) -> None:
    with pytest.raises(ValueError):
        parse_rules(rules)
