from typing import Any

import pytest

from tests.parts.settings import CONSOLE, parsed


def test_the_defaults() -> None:
    settings = parsed()
    assert settings.listen == ("127.0.0.1", 8080)
    assert settings.workers == 1
    assert settings.console is None
    assert settings.tls is None
    assert dict(settings.credentials) == {}
    assert (settings.hold.wait, settings.hold.repeat, settings.hold.open_per_principal) == (45, 600, 20)
    assert (settings.limits.request_body, settings.limits.response_body) == (16 << 20, 64 << 20)
    assert (settings.limits.recorded_body, settings.limits.header) == (4 << 20, 64 << 10)
    assert settings.ledger.reserve == 16 << 20
    corp = settings.issuers["corp"]
    assert corp.algorithms == ("RS256", "ES256", "EdDSA")
    assert (corp.longest, corp.groups, corp.owner) == (3600, "groups", None)


# Every key, and what it becomes.
KEYS: dict[str, tuple[str, str, object]] = {
    "listen": ("listen: 127.0.0.9:1\n", "listen", ("127.0.0.9", 1)),
    "listen on IPv6": ('listen: "[::1]:1"\n', "listen", ("::1", 1)),
    "listen off loopback with TLS": ("listen: 0.0.0.0:1\ntls: {cert: /c, key: /k}\n", "listen", ("0.0.0.0", 1)),
    "workers": ("workers: 3\n", "workers", 3),
    "reserve": ("ledger: {reserve: 1GiB}\n", "ledger.reserve", 1 << 30),
    "wait": ("hold: {wait: 2m}\n", "hold.wait", 120),
    "repeat": ("hold: {repeat: 1d}\n", "hold.repeat", 86400),
    "open_per_principal": ("hold: {open_per_principal: 1}\n", "hold.open_per_principal", 1),
    "request_body": ("limits: {request_body: 1KiB}\n", "limits.request_body", 1024),
    "response_body": ("limits: {response_body: 1KiB}\n", "limits.response_body", 1024),
    "recorded_body": ("limits: {recorded_body: 1KiB}\n", "limits.recorded_body", 1024),
    "header": ("limits: {header: 1KiB}\n", "limits.header", 1024),
    "console.listen": (CONSOLE + "  listen: 127.0.0.1:9\n", "console.listen", ("127.0.0.1", 9)),
    "console.public_url": (CONSOLE + "  public_url: https://c.example/\n", "console.public_url", "https://c.example"),
    "public_url from listen": (CONSOLE + '  listen: "[::1]:9"\n', "console.public_url", "http://[::1]:9"),
    "public_url with TLS": (CONSOLE + "  tls: {cert: c, key: k}\n", "console.public_url", "https://127.0.0.1:8081"),
    "viewer": (CONSOLE + '  roles: {viewer: ["corp:a:b"]}\n', "console.roles.viewer", ("corp:a:b",)),
    "reviewer": (CONSOLE + '  roles: {reviewer: ["corp:a"]}\n', "console.roles.reviewer", ("corp:a",)),
    "credential": ("credentials: {t: {header: X-Key, secret: {env: E}}}\n", "credentials.t.header", "X-Key"),
    "value": ('credentials: {t: {value: "a {secret}", secret: {env: E}}}\n', "credentials.t.value", "a {secret}"),
    "longest": ("    longest: 5m\n", "issuers.corp.longest", 300),
    "algorithms": ("    algorithms: [ES384]\n", "issuers.corp.algorithms", ("ES384",)),
    "groups": ("    groups: null\n", "issuers.corp.groups", None),
    "owner": ("    owner: sub\n", "issuers.corp.owner", "sub"),
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_key(key: str) -> None:
    text, path, expected = KEYS[key]
    value: Any = parsed(text)
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    assert value == expected
