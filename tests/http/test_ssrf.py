"""Where an address of a user's may lead."""

import asyncio
import ipaddress
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import HttpSettings
from hushbell.http import curl, ssrf
from hushbell.http.client import fetch
from hushbell.http.curl import CurlHttp
from hushbell.http.ssrf import AddressRefused, SsrfGuard
from hushbell.ports.http import HttpRequest, HttpResponse
from hushbell.testing.mock.rules import ScriptedReply
from hushbell.testing.mock.server import MockProviders

PUBLIC = "93.184.215.14"


def names(**known: Sequence[str]) -> Callable[[str], Sequence[str]]:
    def resolve(host: str) -> Sequence[str]:
        return known.get(host.replace(".", "_").replace("-", "_"), (PUBLIC,))

    return resolve


async def led(url: str, *, allow: Sequence[str] = (), **known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    guard = SsrfGuard(allow, names(**known))
    place = guard.parse(url)
    return place.url, await guard.resolve(place)


@pytest.mark.parametrize(
    "url,asked",
    [
        ("https://push.example.org/a/b?c=d", "https://push.example.org/a/b?c=d"),
        ("https://push.example.org", "https://push.example.org/"),
        ("https://PUSH.Example.org./x", "https://push.example.org/x"),
        ("https://push.example.org:443/x", "https://push.example.org/x"),
        ("https://push.example.org:8443/x", "https://push.example.org:8443/x"),
        ("https://xn--e1afmkfd.xn--p1ai/x", "https://xn--e1afmkfd.xn--p1ai/x"),
        ("https://push_1.example.org/%2e%2E/x", "https://push_1.example.org/%2e%2E/x"),
        ("https://a.example.org/u@v:w/[x]", "https://a.example.org/u@v:w/[x]"),
        ("https://93.184.215.14/x", "https://93.184.215.14/x"),
        ("https://[2606:2800:21F:CB07::1]/x", "https://[2606:2800:21f:cb07::1]/x"),
        ("https://[::ffff:93.184.215.14]/x", f"https://[{ipaddress.ip_address('::ffff:93.184.215.14')}]/x"),
        ("https://[64:ff9b::93.184.215.14]/x", "https://[64:ff9b::5db8:d70e]/x"),
        ("https://[2002:5db8:d70e::1]/x", "https://[2002:5db8:d70e::1]/x"),
    ],
)
async def test_the_public_internet_is_open(url: str, asked: str) -> None:
    assert (await led(url))[0] == asked


CLOSED = [
    # The machine itself, its networks, and the clouds' own services.
    *("https://127.0.0.1/", "https://127.255.255.254/", "https://0.0.0.0/", "https://0.1.2.3/", "https://10.1.2.3/"),
    *("https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://169.254.169.254/latest/"),
    *("https://100.64.0.1/", "https://100.100.100.200/", "https://168.63.129.16/", "https://192.0.0.192/"),
    *("https://198.18.0.1/", "https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/"),
    *("https://224.0.0.1/", "https://239.255.255.250/", "https://255.255.255.255/", "https://240.0.0.1/"),
    *("https://192.88.99.1/", "https://192.175.48.1/"),
    *("https://[::]/", "https://[::1]/", "https://[fe80::1]/", "https://[fec0::1]/", "https://[fc00::1]/"),
    *("https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[3fff::1]/"),
    *("https://[2001::1]/", "https://[2001:10::1]/", "https://[100::1]/", "https://[5f00::1]/", "https://[4000::1]/"),
    # IPv4 inside IPv6.
    *("https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:169.254.169.254]/"),
    *("https://[::127.0.0.1]/", "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::a9fe:a9fe]/"),
    *("https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2002:a00:1::1]/"),
    *("https://[2606:4700::5efe:7f00:1]/", "https://[2606:4700::200:5efe:10.0.0.1]/"),
    # The same in other writing.
    *("https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/"),
    *("https://127.0.1/", "https://0/", "https://00000177.0.0.1/", "https://127.0.0.1./", "https://127.0.0.01/"),
    *("https://0x7f.0x0.0x0.0x1/", "https://017700000001/", "https://4294967297/", "https://1.2.3.0x/"),
    *("https://169.254.43518/", "https://0xa9fea9fe/", "https://2852039166/"),
    *("https://\uff11\uff12\uff17.0.0.1/", "https://127\u30020\u30020\u30021/", "https://\u24dbocalhost/", "https://localho\u017ft/"),
    *("https://%31%32%37.0.0.1/", "https://127.0.0.1%2f.example.org/", "https://exa%6dple.org/"),
    *("https://[::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1", "https://::1/", "https://[::1]x/"),
    *("https://[127.0.0.1]/", "https://[example.org]/"),
    # Names that are none, or nobody's.
    *("https://localhost/", "https://metadata/", "https://intranet./", "https://example..org/", "https://.example.org/"),
    *("https://example.org../", "https://-a.example.org/", "https://a-.example.org/", "https:///x", "https://:443/x"),
    *("https://" + "a" * 64 + ".org/", "https://" + "a." * 127 + "org/"),
    # Users, and what one parser sees and the next does not.
    *("https://good.example.org@127.0.0.1/", "https://u:p@example.org/", "https://example.org:80@127.0.0.1/"),
    *("https://127.0.0.1\\@example.org/", "https://example.org\\@127.0.0.1/", "https://example.org#@127.0.0.1/"),
    *("https://127.0.0.1#example.org/", "https:\\\\127.0.0.1/", "https:/127.0.0.1/", "https:127.0.0.1/"),
    "//127.0.0.1/",
    *("https://example.org/\r\nHost: x", "https://example.org/ x", "https://exa mple.org/", " https://example.org/"),
    *("https://example.org/\t", "https://example.org/\x00", "https://example.org/\u2028", "https://example.org/{}"),
    # Schemes and ports.
    *("http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/"),
    "javascript:alert(1)",
    *("HTTPS\u2236//example.org/", "data:text/plain,x", "unix:/run/x", "", "/", "example.org"),
    *("https://example.org:22/", "https://example.org:25/", "https://example.org:0/", "https://example.org:65536/"),
    *("https://example.org:-1/", "https://example.org:44x/", "https://example.org:80:443/", "https://example.org:80/"),
    "https://example.org/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("url", CLOSED)
async def test_everything_else_is_closed_in_every_writing(url: str) -> None:
    with pytest.raises(AddressRefused) as told:
        await led(url)

    assert told.value.is_final
    assert len(url) < 12 or url not in str(told.value)


@pytest.mark.parametrize(
    "answer", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%eth0"]
)
async def test_a_name_is_judged_by_every_address_it_has(answer: str) -> None:
    with pytest.raises(AddressRefused) as told:
        await led("https://mallory.example.org/", mallory_example_org=(PUBLIC, answer))

    assert told.value.is_final


@pytest.mark.parametrize("answer", [(), ("nonsense",), tuple(f"93.184.215.{n}" for n in range(20))])
async def test_a_name_that_resolves_strangely_may_be_tried_again(answer: Sequence[str]) -> None:
    with pytest.raises(AddressRefused) as told:
        await led("https://mallory.example.org/", mallory_example_org=answer)

    assert not told.value.is_final


async def test_a_name_that_does_not_resolve_may_be_tried_again() -> None:
    def resolve(host: str) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    guard = SsrfGuard(resolve=resolve)
    with pytest.raises(AddressRefused) as told:
        await guard.resolve(guard.parse("https://gone.example.org/"))

    assert not told.value.is_final


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "https://localhost:9000/", "https://[::ffff:127.0.0.1]/x"])
async def test_what_the_operator_allows_is_open(url: str) -> None:
    assert await led(url, allow=("127.0.0.0/8",), localhost=("127.0.0.1",))


@pytest.mark.parametrize("url", ["http://push.example.org/", "https://10.0.0.1/", "https://[::1]/"])
async def test_what_is_allowed_opens_nothing_else(url: str) -> None:
    with pytest.raises(AddressRefused):
        await led(url, allow=("127.0.0.0/8",))


@given(st.integers(0, 2**32 - 1))
def test_the_guard_opens_no_address_that_python_knows_as_private(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    guard = SsrfGuard()

    for address in (
        plain,
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
    ):
        assert not guard.is_open(address) or (plain.is_global and not plain.is_multicast)


@given(st.integers(0, 2**128 - 1))
def test_the_guard_opens_no_long_address_that_python_knows_as_private(number: int) -> None:
    address = ipaddress.IPv6Address(number)

    assert not SsrfGuard().is_open(address) or address.is_global or address.sixtofour


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    guard = SsrfGuard(("127.0.0.0/8",))
    for url in (text, "https://" + text, "https://a.org" + text):
        try:
            place = guard.parse(url)
        except AddressRefused:
            continue
        assert guard.parse(place.url) == place
        assert place.url.isascii()


def test_allowing_what_is_no_network_is_an_error() -> None:
    with pytest.raises(ValueError):
        SsrfGuard(("127.0.0.1/8",))


async def test_a_name_is_resolved_once_for_many_and_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return (PUBLIC,)

    guard = SsrfGuard(resolve=resolve)
    place = guard.parse("https://push.example.org/")
    for _ in range(5):
        await guard.resolve(place)
    assert asked == ["push.example.org"]

    monkeypatch.setattr(ssrf, "NAME_LIFETIME", -1.0)
    guard._known.clear()
    await guard.resolve(place)
    await guard.resolve(place)
    assert len(asked) == 3


async def test_many_who_ask_for_a_name_at_once_ask_once() -> None:
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return (PUBLIC,)

    guard = SsrfGuard(resolve=resolve)
    place = guard.parse("https://push.example.org/")

    assert await asyncio.gather(*(guard.resolve(place) for _ in range(20))) == [(PUBLIC,)] * 20
    assert asked == ["push.example.org"]


async def test_a_slow_resolver_holds_up_neither_long_nor_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssrf, "RESOLVER_TIMEOUT", 0.01)
    monkeypatch.setattr(ssrf, "MAX_WAITING", 2)
    free = threading.Event()

    def resolve(host: str) -> Sequence[str]:
        free.wait(5)
        return (PUBLIC,)

    guard = SsrfGuard(resolve=resolve)

    async def admitted(number: int) -> Any:
        return await guard.resolve(guard.parse(f"https://slow{number}.example.org/"))

    results = await asyncio.gather(*(admitted(number) for number in range(3)), return_exceptions=True)

    assert [str(result) for result in results] == ["does not resolve", "does not resolve", "too many names to resolve"]
    free.set()


async def test_a_name_that_changes_its_mind_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the name is public when it is asked, and ours right after."""
    monkeypatch.setattr(ssrf, "NAME_LIFETIME", -1.0)
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"]])
    guard = SsrfGuard(("127.0.0.0/8",), lambda host: next(answers))  # the stand-in is the public internet here

    async with MockProviders() as mock:
        http = CurlHttp(HttpSettings(ca_file=str(mock.ca_file)))
        place = guard.parse(f"https://www.push.example.net:{mock.port}/up/x")
        [address] = await guard.resolve(place)
        request = HttpRequest(place.url, (("ttl", "1"),), b"hi", 20.0, address=address)

        first = await fetch(http, request)
        second = await fetch(http, request)  # resolves nothing, whatever the name says now

        assert [isinstance(answer, HttpResponse) and answer.status for answer in (first, second)] == [201, 201]
        with pytest.raises(AddressRefused):
            await guard.resolve(place)
        await http.close()


async def test_a_redirect_into_our_network_is_not_followed() -> None:
    async with MockProviders() as mock:
        mock.rule({"reply": {"status": 307}})
        http = CurlHttp(HttpSettings(ca_file=str(mock.ca_file)))
        url = f"https://push.example.net:{mock.port}/up/x"

        answer = await fetch(http, HttpRequest(url, (("ttl", "1"),), b"hi", 20.0, address="127.0.0.1"))

        assert isinstance(answer, HttpResponse)
        assert (answer.status, mock.count("unifiedpush")) == (307, 1)
        await http.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one loopback address")
async def test_many_hosts_cannot_use_up_our_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curl, "MAX_CONNECTIONS", 6)
    monkeypatch.setattr(curl, "MAX_IDLE_CONNECTIONS", 3)
    async with MockProviders(host="0.0.0.0") as mock:
        http = CurlHttp(HttpSettings(ca_file=str(mock.ca_file)))
        most = 0

        def look(request: object, seen: object) -> ScriptedReply:
            nonlocal most
            most = max(most, mock.stats()["open"])
            return ScriptedReply(delay=0.05)

        mock.decide = look
        requests = [
            HttpRequest(
                f"https://h{number}.push.example.net:{mock.port}/up/x",
                (("ttl", "1"),),
                b"hi",
                20.0,
                address=f"127.0.1.{number}",
            )
            for number in range(1, 31)
        ]

        answers = await asyncio.gather(*(fetch(http, request) for request in requests))

        assert all(isinstance(answer, HttpResponse) and answer.status == 201 for answer in answers)
        assert most <= 6 + 3  # those that are closing count at the other end
        await http.close()
