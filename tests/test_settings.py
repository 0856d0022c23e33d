import os
from pathlib import Path
from typing import Any

import pytest

from doorward.errors import Misconfigured
from doorward.settings import (
    LoadedSettings,
    SecretSettings,
    Settings,
    config_path,
    deployment_key_file,
    index_file,
    issuers_of,
    load_settings,
    parse_settings,
    read_policy_files,
    read_secret,
    runtime_folder,
)

FILE = Path("/etc/doorward/doorward.yaml")
ISSUERS = """\
issuers:
  corp:
    issuer: https://idp.example
    audience: doorward
"""
CONSOLE = """\
console:
  issuer: corp
  client_id: doorward-console
"""


def parsed(text: str = "", start: str = ISSUERS) -> Settings:
    return parse_settings(start + text, FILE)


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


def test_paths_start_at_the_file() -> None:
    settings = parsed(
        CONSOLE
        + "  client_secret: {file: secrets/console}\n  tls: {cert: c.pem, key: /k.pem}\n"
        + "tls: {cert: l.pem, key: ../l.key}\nledger: {path: var/}\npolicies: p\nca: c\n"
        + "credentials: {t: {secret: {file: secrets/t}}, e: {secret: {env: E}}}\n"
    )
    assert settings.console is not None
    assert settings.console.tls is not None
    assert settings.tls is not None
    assert settings.console.client_secret == SecretSettings(file=FILE.parent / "secrets/console")
    assert (settings.console.tls.cert, settings.console.tls.key) == (FILE.parent / "c.pem", Path("/k.pem"))
    assert (settings.tls.cert, settings.tls.key) == (FILE.parent / "l.pem", FILE.parent / "../l.key")
    assert settings.ledger.path == FILE.parent / "var"
    assert (settings.policies, settings.ca) == (FILE.parent / "p", FILE.parent / "c")
    assert settings.credentials["t"].secret.file == FILE.parent / "secrets/t"
    assert settings.credentials["e"].secret == SecretSettings(env="E")
    assert deployment_key_file(settings) == FILE.parent / "var/deployment.key"
    assert index_file(settings) == FILE.parent / "var/index.db"


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


# What is wrong, on which line, in which words.
WRONG: dict[str, tuple[str, int, str]] = {
    "unknown key": ("workerz: 1\n", 5, "unknown key 'workerz'"),
    "unknown key below": ("hold:\n  wait: 1s\n  wate: 2s\n", 7, "unknown key 'hold.wate'"),
    "a key for later": ("limits: {stream_event: 4MiB}\n", 5, "'limits.stream_event' is not supported yet"),
    "a credential for later": ("credentials:\n  t:\n    client_cert: {cert: c}\n", 6, "missing"),
    "a key that is no text": ("1: 2\n", 5, "'1"),
    "a key twice": ("workers: 1\nworkers: 2\n", 6, "duplicate key"),
    "no YAML": ("listen: [\n", 6, ""),
    "two documents": ("---\nworkers: 1\n", 5, ""),
    "a missing key": ("console: {issuer: corp}\n", 5, "the key 'console.client_id' is missing"),
    "nothing where a part is": ("hold:\n", 5, "'hold'"),
    "a text where a part is": ("hold: soon\n", 5, "'hold'"),
    "no port": ("listen: 127.0.0.1\n", 5, "is no address"),
    "a name to listen on": ("listen: localhost:8080\n", 5, "is no IP address"),
    "a port too high": ("listen: 127.0.0.1:65536\n", 5, "is no address"),
    "no host": ('listen: ":8080"\n', 5, "is no address"),
    "off loopback": ("workers: 1\nlisten: 0.0.0.0:8080\n", 6, "off loopback without TLS"),
    "off loopback, IPv6": ('listen: "[::]:8080"\n', 5, "off loopback without TLS"),
    "the console off loopback": (CONSOLE + "  listen: 10.0.0.1:8081\n", 8, "console.listen is off loopback"),
    "half of TLS": ("tls: {cert: c}\n", 5, "the key 'tls.key' is missing"),
    "no workers": ("workers: 0\n", 5, "'workers'"),
    "too many workers": ("workers: 65\n", 5, "'workers'"),
    "no duration": ("hold: {wait: 45}\n", 5, "'45' is no duration"),
    "a duration of nought": ("hold: {wait: 0s}\n", 5, "'0s' is no duration"),
    "no size": ("limits:\n  header: 64KB\n", 6, "'64KB' is no size"),
    "more in the record than a part can send": ("limits: {recorded_body: 64MiB}\n", 5, "limits.recorded_body"),
    "an alias that is none": ("credentials:\n  Not An Alias: {secret: {env: A}}\n", 6, "credentials"),
    "no source of a secret": ("credentials: {t: {secret: {}}}\n", 5, "exactly one source"),
    "two sources of a secret": ("credentials: {t: {secret: {env: A, file: b}}}\n", 5, "exactly one source"),
    "a secret in clear": ("credentials: {t: {secret: hunter2hunter2}}\n", 5, "credentials.t.secret"),
    "a header that is none": ('credentials: {t: {header: "a b", secret: {env: A}}}\n', 5, "credentials.t.header"),
    "a header that frames": ("credentials:\n  t: {header: Host, secret: {env: A}}\n", 6, "credentials.t.header"),
    "a value without its secret": ('credentials: {t: {value: "Bearer x", secret: {env: A}}}\n', 5, "{secret}"),
    "a value of two lines": ('credentials: {t: {value: "{secret}\\r\\na", secret: {env: A}}}\n', 5, "t.value"),
    "heads that fit nothing": ("limits: {header: 1B}\n", 5, "limits.header"),
    "an issuer in clear": ("  other: {issuer: http://idp.example, audience: d}\n", 5, "is no https URL"),
    "an issuer twice": ("  other: {issuer: https://idp.example, audience: d}\n", 5, "are one issuer"),
    "no audience": ('  other: {issuer: https://o.example, audience: ""}\n', 5, "has no audience"),
    "one port for both": (CONSOLE + "  listen: 127.0.0.1:8080\n", 8, "a port of its own"),
    "any port for the console": (CONSOLE + "  listen: 127.0.0.1:0\n", 8, "a port of its own"),
    "a public URL of another scheme": (CONSOLE + '  public_url: "javascript:alert(1)"\n', 8, "console.public_url"),
    "a public URL with a path": (CONSOLE + "  public_url: https://c.example/path\n", 8, "console.public_url"),
    "an algorithm of shared secrets": ("    algorithms: [HS256]\n", 5, "issuers.corp.algorithms.0"),
    "the algorithm none": ("    algorithms: [none]\n", 5, "issuers.corp.algorithms.0"),
    "no algorithms": ("    algorithms: []\n", 5, "issuers.corp.algorithms"),
    "an issuer that is not there": (CONSOLE.replace("corp", "other"), 6, "console.issuer"),
    "one client for both": (CONSOLE.replace("doorward-console", "doorward"), 7, "audience of agents' tokens"),
    "a role that is no group": (CONSOLE + "  roles: {viewer: [staff]}\n", 8, "'staff' is no group"),
    "a role of an unknown issuer": (CONSOLE + '  roles: {reviewer: ["x:staff"]}\n', 8, "'x:staff' is no group"),
    "a role of nobody": (CONSOLE + '  roles: {reviewer: ["corp:"]}\n', 8, "'corp:' is no group"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_says_where_and_what_next(kind: str) -> None:
    text, line, says = WRONG[kind]
    with pytest.raises(Misconfigured) as error:
        parsed(text)
    assert error.value.where == f"{FILE}:{line}"
    assert says in error.value.message
    assert error.value.message.startswith(f"{FILE}:{line}: ")
    assert not error.value.message.endswith(".")
    assert "\n" not in error.value.message
    assert error.value.hint
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n", "text\n", "# nothing\n"])
def test_what_is_no_mapping(text: str) -> None:
    with pytest.raises(Misconfigured, match=":1: the settings are no mapping"):
        parsed(start=text)


def test_without_issuers_nobody_could_come_in() -> None:
    with pytest.raises(Misconfigured, match="'issuers' is missing"):
        parsed(start="workers: 1\n")
    with pytest.raises(Misconfigured, match=":1: 'issuers'"):
        parsed(start="issuers: {}\n")


def test_the_file_and_its_text(tmp_path: Path) -> None:
    file = tmp_path / "doorward.yaml"
    with pytest.raises(Misconfigured, match="no settings file") as absent:
        load_settings(file)
    assert "doorward init" in absent.value.hint
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="cannot read"):
        load_settings(file)
    file.write_text(ISSUERS)
    assert load_settings(file) == LoadedSettings(parse_settings(ISSUERS, file), file, ISSUERS)


def test_which_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOORWARD_CONFIG", raising=False)
    assert config_path(None) == tmp_path / "doorward.yaml"
    monkeypatch.setenv("DOORWARD_CONFIG", "other.yaml")
    assert config_path(None) == tmp_path / "other.yaml"
    assert config_path(Path("given.yaml")) == tmp_path / "given.yaml"
    monkeypatch.setenv("DOORWARD_CONFIG", "")
    assert config_path(None) == tmp_path / "doorward.yaml"


def test_issuers_as_the_verifier_knows_them() -> None:
    (corp,) = issuers_of(parsed("    longest: 5m\n    owner: owner\n    groups: roles\n    algorithms: [ES256]\n"))
    assert (corp.alias, corp.url, corp.audience) == ("corp", "https://idp.example", "doorward")
    assert (corp.algorithms, corp.longest_s, corp.groups_claim, corp.owner_claim) == (("ES256",), 300, "roles", "owner")
    with pytest.raises(Misconfigured):
        issuers_of(parsed(start=ISSUERS.replace("https", "http")))


def test_the_runtime_folder_moves_where_a_socket_would_not_fit() -> None:
    near = parse_settings(ISSUERS, Path("/d/doorward.yaml"))
    assert runtime_folder(near) == Path("/d/var/run")
    far = runtime_folder(parse_settings(ISSUERS, Path("/" + "d" * 100) / "doorward.yaml"))
    assert str(os.getuid()) in far.name
    assert len(str(far)) < 90
    assert far != runtime_folder(parse_settings(ISSUERS, Path("/" + "e" * 100) / "doorward.yaml"))


def test_a_secret_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    with pytest.raises(Misconfigured, match="is empty"):
        read_secret(SecretSettings(file=file))
    file.write_text(" s3cr3t-word\n")
    assert read_secret(SecretSettings(file=file)) == "s3cr3t-word"
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="0644") as open_to_all:
        read_secret(SecretSettings(file=file))
    assert "s3cr3t-word" not in str(open_to_all.value)
    monkeypatch.setenv("THE_SECRET", "s3cr3t-word")
    assert read_secret(SecretSettings(env="THE_SECRET")) == "s3cr3t-word"
    monkeypatch.delenv("THE_SECRET")
    with pytest.raises(Misconfigured, match="THE_SECRET"):
        read_secret(SecretSettings(env="THE_SECRET"))


def test_the_files_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no policy files"):
        read_policy_files(tmp_path)
    with pytest.raises(Misconfigured, match="no policy files"):
        read_policy_files(tmp_path / "absent")
    (tmp_path / "b.yaml").write_text("b")
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "notes.txt").write_text("c")
    assert list(read_policy_files(tmp_path).items()) == [("a.yaml", "a"), ("b.yaml", "b")]
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="cannot read"):
        read_policy_files(tmp_path)
    (tmp_path / "c.yaml").unlink()
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match="cannot read"):
        read_policy_files(tmp_path)
    (tmp_path / "d.yaml").write_bytes(b" " * (4 << 20))
    with pytest.raises(Misconfigured, match="too much policy"):
        read_policy_files(tmp_path)
