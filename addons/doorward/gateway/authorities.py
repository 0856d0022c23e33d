"""The files of certificates under which targets are verified (`ca:` of a target).

A relative path is read from the folder of `doorward.yaml`, as every other path is. A file
that is absent or holds no certificate is found when the policy is loaded, not when the first
request fails. Called by `policies` at each load, and by `doorward check`.
"""

from dataclasses import replace
from pathlib import Path

from cryptography import x509

from doorward.core.policy import Policy
from doorward.errors import Misconfigured
from doorward.model import Target


def with_authorities(policy: Policy, folder: Path) -> Policy:
    """The policy with the absolute paths of its authorities; raises Misconfigured."""
    return replace(policy, targets={name: _placed(target, folder) for name, target in policy.targets.items()})


def _placed(target: Target, folder: Path) -> Target:
    if target.ca is None:
        return target
    path = (folder / Path(target.ca).expanduser()).absolute()
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise _wrong(target, path, error.strerror or "unreadable") from None
    except ValueError:
        raise _wrong(target, path, "it holds no certificates") from None
    return replace(target, ca=str(path))


def _wrong(target: Target, path: Path, problem: str) -> Misconfigured:
    return Misconfigured(
        f"the ca of target '{target.name}' cannot be used: {problem}",
        cause="ca-unusable",
        where=str(path),
        hint="name a PEM file with the certificates that the target's must lead to; relative to doorward.yaml",
    )
