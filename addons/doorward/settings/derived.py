"""What the parts ask of the settings: issuers, places of files, secrets of our own, the texts of the policy."""

import hashlib
import os
import tempfile
from pathlib import Path

from doorward.errors import Misconfigured
from doorward.oidc.issuer import Issuer
from doorward.private_files import read_private
from doorward.settings.schema import IssuerSettings, SecretSettings, Settings

_LONGEST_RUNTIME_PATH = 90  # leaves room for the name of a socket
_MOST_FILES = 500  # of policy, and their bytes in all
_MOST_BYTES = 4 << 20


def issuers_of(settings: Settings) -> tuple[Issuer, ...]:
    """The issuers as the `oidc` room knows them; raises Misconfigured."""
    return tuple(issuer_of(alias, each) for alias, each in settings.issuers.items())


def issuer_of(alias: str, each: IssuerSettings) -> Issuer:
    """One of them; raises Misconfigured."""
    return Issuer(
        alias=alias,
        url=each.issuer,
        audience=each.audience,
        algorithms=each.algorithms,
        longest_s=each.longest,
        groups_claim=each.groups,
        owner_claim=each.owner,
    )


def deployment_key_file(settings: Settings) -> Path:
    """Where the deployment's own key stands: beside the record that it is the key to."""
    return settings.ledger.path / "deployment.key"


def runtime_folder(settings: Settings) -> Path:
    """Where the running parts leave their sockets and addresses.

    Beside the record; where that path is too long for a socket (unix(7): 107 bytes), a folder
    of our own among the temporary ones, named after it.
    """
    folder = settings.ledger.path / "run"
    if len(os.fsencode(folder)) <= _LONGEST_RUNTIME_PATH:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"doorward-{os.getuid()}-{name}"


def index_file(settings: Settings) -> Path:
    """The index of the record, for lists."""
    return settings.ledger.path / "index.db"


def read_secret(source: SecretSettings) -> str:
    """The text of a secret of our own (the console's client secret); raises Misconfigured."""
    if source.env is not None:
        text = os.environ.get(source.env, "")
    else:
        assert source.file is not None
        text = read_private(source.file, what="the secret").content.decode("utf-8", "replace")
    if not text.strip():
        raise Misconfigured(f"the secret in {source.file or source.env} is empty", hint="put it there")
    return text.strip()


def agent_token() -> str:
    """The token of DOORWARD_TOKEN, for commands that act as an agent; raises Misconfigured."""
    token = os.environ.get("DOORWARD_TOKEN", "").strip()
    if not token:
        raise Misconfigured(
            "there is no token to send it by", cause="token-absent", hint="put one into DOORWARD_TOKEN, or name a file"
        )
    return token


def read_policy_files(folder: Path) -> dict[str, str]:
    """Text of each `*.yaml` in the folder, by name; raises Misconfigured."""
    try:
        files = sorted(folder.glob("*.yaml"))
        size = sum(file.stat().st_size for file in files)
        if not files:
            raise Misconfigured(f"no policy files in {folder}", hint="put policies as *.yaml there")
        if len(files) > _MOST_FILES or size > _MOST_BYTES:
            raise Misconfigured(f"too much policy in {folder}", hint=f"at most {_MOST_FILES} files and 4 MiB")
        return {file.name: file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read the policies in {folder}: {error}", hint="they are UTF-8 files") from None
