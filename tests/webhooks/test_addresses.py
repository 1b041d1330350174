"""Which addresses and URLs webhooks may be sent to."""

from __future__ import annotations

import ipaddress
import re
import socket

import pytest
from graphwire_server.graphs.webhook_config import WebhookConfig
from graphwire_server.settings import Settings
from graphwire_server.webhooks.addresses import read_address, why_refused
from graphwire_server.webhooks.policy import UrlPolicy, UrlRefusedError, masked
from hypothesis import given
from hypothesis import strategies as st

REFUSED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "100.64.0.1": "shared (carrier-grade NAT)",
    "100.127.255.255": "shared (carrier-grade NAT)",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",  # the metadata of clouds
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.170": "reserved for protocols",
    "192.0.2.1": "reserved for documentation",
    "192.88.99.1": "reserved for relays",
    "192.168.1.1": "private",
    "198.18.0.1": "reserved for benchmarks",
    "198.51.100.1": "reserved for documentation",
    "203.0.113.1": "reserved for documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "not public",
    "::7f00:1": "not public",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "link-local",
    "::ffff:0:127.0.0.1": "not public",
    "64:ff9b::7f00:1": "one for 127.0.0.1, which is loopback",
    "64:ff9b::a9fe:a9fe": "one for 169.254.169.254, which is link-local",
    "64:ff9b:1::1": "not public",
    "100::1": "not public",
    "2001::1": "reserved for protocols",
    "2001:db8::1": "reserved for documentation",
    "2002:7f00:1::": "one for 127.0.0.1, which is loopback",
    "2002:a00:1::1": "one for 10.0.0.1, which is private",
    "3fff::1": "reserved for documentation",
    "4000::1": "not public",
    "5f00::1": "not public",
    "fc00::1": "unique local",
    "fd00:ec2::254": "unique local",  # the metadata of a cloud
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.169.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert why_refused(ipaddress.ip_address(text), ()) == REFUSED[text]


@pytest.mark.parametrize("text", ALLOWED)
def test_a_public_address_is_allowed(text: str) -> None:
    assert why_refused(ipaddress.ip_address(text), ()) == ""


def test_a_network_is_allowed_by_name_and_no_other_with_it() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")]
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert why_refused(ipaddress.ip_address(text), allowed) == ""
    for text in ("10.2.0.1", "127.0.0.1", "fd00:2::5", "::ffff:10.2.0.1", "169.254.169.254"):
        assert why_refused(ipaddress.ip_address(text), allowed) != ""


def test_an_address_in_a_zone_is_none() -> None:
    assert read_address("fe80::1%eth0") is None


POLICY = UrlPolicy()

BAD_URLS = {
    "": "must be printable ASCII",
    "example.org/hook": "must be a URL such as",
    "/hook": "must be a URL such as",
    "//example.org/hook": "must be a URL such as",
    "https://": "must be a URL such as",
    "https:///hook": "must be a URL such as",
    "ftp://example.com/": "must be a URL such as",
    "file:///etc/passwd": "must be a URL such as",
    "gopher://example.com/": "must be a URL such as",
    "javascript:alert(1)": "must be a URL such as",
    "http://example.com/": "must be https",
    "https://user@example.com/": "must have no user",
    "https://user:secret@example.com/": "must have no user",
    "https://@example.com/": "must have no user",
    "https://example.com#fragment": "must have no fragment",
    "https://example.com/#": "must have no fragment",
    "https://example.com:0/": "must have a port",
    "https://example.com:99999/": "must be a URL such as",
    "https://example.com:port/": "must be a URL such as",
    "https://example.com /": "must be printable ASCII",
    "https://example.com/a b": "must be printable ASCII",
    "https://example.com/\r\nX: y": "must be printable ASCII",
    "https://example.com\\@127.0.0.1/": "must be printable ASCII",
    "https://exämple.com/": "must be printable ASCII",
    "https://example。com/": "must be printable ASCII",
    "https://exa%6dple.com/": "its host is neither",
    "https://example.com./": "its host is neither",
    "https://.example.com/": "its host is neither",
    "https://-example.com/": "its host is neither",
    "https://exa$mple.com/": "its host is neither",
    f"https://{'a' * 64}.com/": "its host is neither",
    f"https://{'.'.join(['a' * 60] * 5)}/": "its host is neither",
    "https://2130706433/": "its host is neither",
    "https://0x7f000001/": "its host is neither",
    "https://0x7f.1/": "its host is neither",
    "https://127.1/": "its host is neither",
    "https://0177.0.0.1/": "its host is neither",
    "https://127.0.0.1.2/": "its host is neither",
    "https://1.2.3.256/": "its host is neither",
    "https://[::1/": "must be a URL such as",
    "https://[fe80::1%25eth0]/": "has no IPv6 address",
    "https://[1.2.3.4]/": "must be a URL such as",
    "https://localhost/": "its host's is loopback",
    "https://LOCALHOST:8443/": "its host's is loopback",
    "https://api.localhost/": "its host's is loopback",
    "https://127.0.0.1/": "its host's is loopback",
    "https://169.254.169.254/latest/meta-data": "its host's is link-local",
    "https://10.1.2.3:8443/": "its host's is private",
    "https://0.0.0.0/": "its host's is unspecified",
    "https://[::1]/": "its host's is loopback",
    "https://[::ffff:127.0.0.1]/": "its host's is loopback",
    "https://[::ffff:7f00:1]/": "its host's is loopback",
    "https://[fd00:ec2::254]/": "its host's is unique local",
    "https://[64:ff9b::10.0.0.1]/": "its host's is one for 10.0.0.1",
    f"https://example.com/{'a' * 2048}": "must have at most 2048 characters",
}


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_is_wrong_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(UrlRefusedError, match=re.escape(BAD_URLS[url])) as refused:
        POLICY.check(url)
    if len(url) > len("https://"):
        assert url not in str(refused.value)


@given(
    st.one_of(
        st.text(),
        st.text().map(lambda text: f"https://{text}"),
        st.builds(
            lambda user, host, end: f"https://{user}{host}{end}",
            st.sampled_from(["", "a@", "a:b@", "@"]),
            st.one_of(
                st.ip_addresses().map(str),
                st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
                st.text("0123456789abcdefx.:[]%-", max_size=20),
            ),
            st.sampled_from(["", "/", ":443/", ":0", ":99999", "?a=b", "#c"]),
        ),
    )
)
def test_whatever_a_url_is_it_is_refused_or_leads_to_a_name_or_a_public_address(url: str) -> None:
    try:
        target = POLICY.check(url)
    except UrlRefusedError:
        return
    assert target.scheme == "https"
    if target.address is not None:
        assert why_refused(target.address, ()) == ""
    else:
        # No resolver takes it for an address in disguise.
        with pytest.raises(OSError, match=r"illegal|[Ii]nvalid"):
            socket.inet_aton(target.host)


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://example.com", ("https", "example.com", 443, "/", "example.com")),
        ("HTTPS://Example.COM/Hook", ("https", "example.com", 443, "/Hook", "example.com")),
        ("https://example.com:8443?a=%20b", ("https", "example.com", 8443, "/?a=%20b",
                                             "example.com:8443")),
        ("https://example.com/a?", ("https", "example.com", 443, "/a?", "example.com")),
        ("https://a_b.example.com/", ("https", "a_b.example.com", 443, "/", "a_b.example.com")),
        ("https://xn--exmple-cua.com/", ("https", "xn--exmple-cua.com", 443, "/",
                                         "xn--exmple-cua.com")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/", "8.8.8.8")),
        ("https://[2606:4700::1]:99/", ("https", "2606:4700::1", 99, "/", "[2606:4700::1]:99")),
    ],
)  # fmt: skip
def test_the_parts_of_a_url(url: str, expected: tuple[str, str, int, str, str]) -> None:
    target = POLICY.check(url)
    found = (target.scheme, target.host, target.port, target.path, target.authority)
    assert found == expected


def test_domains_and_ports_can_be_limited() -> None:
    policy = UrlPolicy(domains=(("example.com", "*.hooks.example.org"),), ports=((443, 8443),))
    for url in ("https://example.com/", "https://a.b.hooks.example.org:8443/"):
        policy.check(url)
    for url in (
        "https://www.example.com/",
        "https://hooks.example.org/",
        "https://evilexample.com/",
        "https://example.com.evil.org/",
        "https://8.8.8.8/",
    ):
        with pytest.raises(UrlRefusedError, match="none of the domains"):
            policy.check(url)
    with pytest.raises(UrlRefusedError, match="one of those allowed: 443, 8443"):
        policy.check("https://example.com:444/")


def test_a_project_narrows_what_the_settings_allow_and_widens_nothing() -> None:
    settings = UrlPolicy(
        allow_http=True,
        domains=(("*.example.com",),),
        networks=(ipaddress.ip_network("10.0.0.0/8"),),
        max_length=100,
    )
    same = settings.narrowed(WebhookConfig(max_url_length=1000))
    assert same == settings
    narrowed = settings.narrowed(
        WebhookConfig(
            require_https=True,
            allowed_domains=("hooks.example.com", "evil.org"),
            allowed_ports=(443,),
            max_url_length=50,
            public_only=True,
        )
    )
    narrowed.check("https://hooks.example.com/")
    for url in (
        "http://hooks.example.com/",
        "https://other.example.com/",
        "https://evil.org/",
        "https://hooks.example.com:444/",
        f"https://hooks.example.com/{'a' * 30}",
        "https://10.0.0.1/",
    ):
        with pytest.raises(UrlRefusedError):
            narrowed.check(url)
    with pytest.raises(UrlRefusedError, match="private"):
        narrowed.check_address(ipaddress.ip_address("10.0.0.1"))


def test_a_refusal_names_what_would_have_to_change() -> None:
    def refusal(policy: UrlPolicy, url: str) -> str:
        with pytest.raises(UrlRefusedError) as refused:
            policy.check(url)
        return str(refused.value)

    closed = POLICY.narrowed(WebhookConfig(require_https=True, public_only=True))
    plain, inside = "http://example.com/", "https://10.0.0.1/"
    assert refusal(POLICY, plain) == (
        "must be https; the server's setting GRAPHWIRE_WEBHOOK_ALLOW_HTTP would allow http"
    )
    assert refusal(closed, plain) == (
        "must be https; webhooks.url.require_https of the project's langgraph.json asks for that"
    )
    private = "must lead to a public address; its host's is private"
    assert refusal(POLICY, inside) == (
        f"{private}; the server's setting GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS would allow it"
    )
    assert refusal(closed, inside) == (
        f"{private}; webhooks.url.disable_private_ips of the project's langgraph.json asks for that"
    )
    for policy in (POLICY, closed):
        for named in re.findall(r"GRAPHWIRE_(\w+)", policy.why_https + policy.why_public):
            assert named.lower() in Settings.model_fields


def test_what_is_shown_of_a_url_has_no_query() -> None:
    assert masked("https://example.com/a?token=hush") == "https://example.com/a?…"
    assert masked("https://example.com/a") == "https://example.com/a"
