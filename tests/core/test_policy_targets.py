import pytest

from doorward.core.policy_targets import is_loopback, read_target
from doorward.core.policy_yaml import parse_yaml
from doorward.errors import Misconfigured
from doorward.model import Target

URL = "url: 'https://crm.internal'"
HOSTS = "hosts: [crm.internal]"


def read(text: str, key: str = "crm") -> Target:
    return read_target(key, "p.yaml:1", parse_yaml("p.yaml", text), ["crm-token"])


def target(url: str = "https://crm.internal", hosts: str = "[crm.internal]", more: str = "") -> Target:
    return read(f"kind: http\nurl: '{url}'\nhosts: {hosts}\n{more}")


def test_the_least_that_a_target_says() -> None:
    assert target() == Target("crm", "https", "crm.internal", 443, (("crm.internal", 443),))


def test_all_that_a_target_says() -> None:
    more = "ca: certs/ca.pem\ncredential: crm-token\ncookies: pass\n"
    more += "encoded_slash: allow\nrepeated_query: allow\nrecord: headers\n"
    assert target("https://CRM.internal:8443", "[Crm.Internal, 'crm:9443']", more) == Target(
        "crm",
        "https",
        "crm.internal",
        8443,
        (("crm.internal", 443), ("crm", 9443)),
        ca="certs/ca.pem",
        credential="crm-token",
        cookies=True,
        encoded_slash=True,
        repeated_query=True,
        record_bodies=False,
    )


@pytest.mark.parametrize(
    ("url", "hosts", "expected"),
    [
        ("https://a", "[b]", (("b", 443),)),
        ("https://a:8443", "[b]", (("b", 443),)),
        ("http://127.0.0.1:8090", "[b]", (("b", 443), ("b", 80))),
        ("http://127.0.0.1:8090", "['b:8090']", (("b", 8090),)),
        ("https://a", "['b:1', 'b:2']", (("b", 1), ("b", 2))),
        ("https://a", "['10.0.0.1', '[FD00::0001]:6443']", (("10.0.0.1", 443), ("fd00::1", 6443))),
    ],
)
def test_hosts_and_the_ports_of_bare_names(url: str, hosts: str, expected: tuple[tuple[str, int], ...]) -> None:
    assert target(url, hosts).hosts == expected


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1", "127.0.0.1", 80),
        ("http://localhost:8090", "localhost", 8090),
        ("http://[::1]:8090", "::1", 8090),
        ("https://[fd00:0::1]", "fd00::1", 443),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", 443),
        ("https://a_b.c-d.1e", "a_b.c-d.1e", 443),
    ],
)
def test_urls(url: str, host: str, port: int) -> None:
    read_ = target(url)
    assert (read_.host, read_.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a", "HTTPS://a", "https://", "a", "https:a", "https://a/", "https://a/v1", "https://a?x", "https://a#x",
        "https://user:secret@a", "https://user@a", "https://a:", "https://a:0", "https://a:65536", "https://a:999999",
        "https://a:b", "https://bücher.example", "https://a.", "https://.a", "https://a..b", "https://-a", "https://a-",
        "https://a b", "https://a%20b", "https://" + "a" * 64, "https://" + "a." * 130 + "a", "https://a\\b",
        "https://2130706433", "https://0x7f000001", "https://127.1", "https://0177.0.0.1", "https://1.2.3.0x4",
        "https://10.0.0.256", "https://[10.0.0.1]x", "https://[::g]", "https://169.254.169.254", "https://[fe80::1]",
        "https://0.0.0.0", "https://[::]", "https://[::ffff:127.0.0.1]", "https://[fe80::1%25eth0]", "https://[fd00::1%1]",
        "https://224.0.0.1",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        target(url)
    assert caught.value.where == "p.yaml:2"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "hosts",
    ["[]", "crm.internal", "['https://a']", "['a:b']", "['a:']", "['a:0']", "['a b']", "['a/b']", "['*.a']", "['a.']",
     "[a, A]", "['a:443', a]", "['::1']", "['127.1']", "['169.254.169.254']", "[é]", "[1]"],
)  # fmt: skip
def test_hosts_that_are_refused(hosts: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        target(hosts=hosts)
    assert caught.value.where == "p.yaml:3"


@pytest.mark.parametrize(
    ("url", "more", "message"),
    [
        ("http://crm.internal", "", "the URL is clear http off loopback"),
        ("http://10.0.0.1", "plaintext: false", "the URL is clear http off loopback"),
        ("http://crm.internal", "plaintext: true\ncredential: crm-token", "a credential would travel in clear"),
        ("http://crm.internal", "credential: crm-token", "a credential would travel in clear"),
        ("https://crm.internal", "plaintext: true", "plaintext means nothing for an https URL"),
        ("http://127.0.0.1", "ca: x.pem", "ca means nothing for an http URL"),
        ("https://crm.internal", "credential: other", "unknown credential 'other'"),
    ],
)
def test_nothing_secret_goes_in_clear(url: str, more: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        target(url, more=more)


def test_clear_http_where_it_is_accepted() -> None:
    assert target("http://crm.internal", more="plaintext: true").plaintext
    assert target("http://127.0.0.1", more="credential: crm-token").credential == "crm-token"


def test_no_credentials_are_known() -> None:
    with pytest.raises(Misconfigured, match="known: none"):
        read_target("a", "p:1", parse_yaml("p", f"kind: http\n{URL}\n{HOSTS}\ncredential: x"), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: kubernetes\nimpersonate: {prefix: x}", "p.yaml:1: targets of kind kubernetes are not supported yet"),
        (f"{URL}\nkind: tunnel", "p.yaml:2: targets of kind tunnel are not supported yet"),
        (f"kind: ftp\n{URL}\n{HOSTS}", "p.yaml:1: unknown kind of target"),
        (f"kind: [http]\n{URL}\n{HOSTS}", "p.yaml:1: unknown kind of target"),
        (f"{URL}\n{HOSTS}", "p.yaml:1: target crm lacks 'kind'"),
        (f"kind: http\n{URL}\n{HOSTS}\ntimeout: 1s", "p.yaml:4: unknown key 'timeout' in target crm"),
        (f"kind: http\n{URL}\n{HOSTS}\ncookies: drop", "p.yaml:4: unknown value of cookies"),
        (f"kind: http\n{URL}\n{HOSTS}\nrecord: bodies", "p.yaml:4: unknown value of record"),
        ("http", "p.yaml:1: target crm is not a mapping"),
    ],
)  # fmt: skip
def test_other_targets_are_refused(text: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(text)
    assert caught.value.message == message


def test_a_target_has_a_name_for_urls_and_commands() -> None:
    with pytest.raises(Misconfigured, match="the name of a target is not a name"):
        read(f"kind: http\n{URL}\n{HOSTS}", key="a b")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("a", False)],
)
def test_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
