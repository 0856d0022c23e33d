from pathlib import Path

import pytest

from doorward.credentials.spec import CredentialSpec
from doorward.errors import Misconfigured

FILE = Path("secrets/billing")


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "private-token", "Cookie"])
def test_a_header_that_may_carry_a_credential(header: str) -> None:
    assert CredentialSpec("c", header, "{secret}", file=FILE).header == header


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X Api",
        "X:",
        "Ä",
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Proxy-Authorization",
        "TE",
        "Doorward-Request",
    ],
)
def test_a_header_that_may_not(header: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        CredentialSpec("c", header, "{secret}", file=FILE)
    assert caught.value.cause == "credential-spec"


@pytest.mark.parametrize(
    "template",
    ["", "Bearer", "Bearer {Secret}", "{secret}{secret}", "{secret} ", "a\r\nb{secret}", "é{secret}", "{secret}\n"],
)
def test_a_value_needs_the_secret_once(template: str) -> None:
    with pytest.raises(Misconfigured, match="in it once"):
        CredentialSpec("c", "Authorization", template, file=FILE)


def test_other_braces_stay_as_they_are() -> None:
    assert CredentialSpec("c", "Authorization", "{x} {secret} %s", file=FILE).template == "{x} {secret} %s"


@pytest.mark.parametrize(("file", "env"), [(None, None), (FILE, "NAME")], ids=["none", "both"])
def test_a_secret_has_one_place(file: Path | None, env: str | None) -> None:
    with pytest.raises(Misconfigured, match="exactly one"):
        CredentialSpec("c", "Authorization", "{secret}", file=file, env=env)
