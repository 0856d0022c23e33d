from pathlib import Path

import pytest

from doorward.errors import Misconfigured
from doorward.settings import (
    LoadedSettings,
    SecretSettings,
    config_path,
    deployment_key_file,
    index_file,
    load_settings,
    parse_settings,
)
from tests.parts.settings import CONSOLE, FILE, ISSUERS, parsed


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


# What is wrong, on which line, in which words.
WRONG: dict[str, tuple[str, int, str]] = {
    "unknown key": ("workerz: 1\n", 5, "unknown key 'workerz'"),
    "unknown key below": ("hold:\n  wait: 1s\n  wate: 2s\n", 7, "unknown key 'hold.wate'"),
    "a key for later": ("drain: {requests: 30s}\n", 5, "'drain' is not supported yet"),
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
