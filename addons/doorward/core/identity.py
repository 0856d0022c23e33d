"""Verified claims of a token -> Principal.

Signature, audience and times were checked before (`oidc.verify`); this reads what the issuer says
about whom. Names are qualified by the alias of the issuer, so that two issuers can never speak for
one another, and names that a person could misread are refused. It grants nothing. Called by
`oidc.verify` for agents and by `oidc.login` for persons.
"""

from collections.abc import Mapping

from doorward.core.characters import is_showable
from doorward.errors import Unauthenticated
from doorward.model import Principal

_LONGEST_NAME = 255  # OpenID Connect Core 1.0, section 2: `sub` MUST NOT exceed 255 ASCII characters


def principal_from_claims(
    alias: str,
    claims: Mapping[str, object],
    *,
    groups_claim: str | None,
    owner_claim: str | None,
    owners: Mapping[str, str],
) -> Principal:
    """Read subject, groups and owner; raises Unauthenticated (cause `token-malformed`).

    `groups_claim` must hold a list of strings where it is there at all; none means no groups. The
    owner is what the issuer says in `owner_claim`, and only where it says nothing, what `owners`
    (agent -> person, both qualified) says.
    """
    subject = _name(claims.get("sub"), "sub")
    groups: object = claims.get(groups_claim, []) if groups_claim else []
    if not isinstance(groups, list | tuple):
        raise _malformed(f"the claim {groups_claim} is not a list")
    owner = claims.get(owner_claim) if owner_claim else None
    return Principal(
        issuer=alias,
        subject=subject,
        groups=tuple(dict.fromkeys(f"{alias}:{_name(group, str(groups_claim))}" for group in groups)),
        owner=f"{alias}:{_name(owner, str(owner_claim))}" if owner is not None else owners.get(f"{alias}:{subject}"),
    )


def _name(value: object, claim: str) -> str:
    if not isinstance(value, str) or not value or len(value) > _LONGEST_NAME:
        raise _malformed(f"the claim {claim} holds no name of 1 to {_LONGEST_NAME} characters")
    if value != value.strip() or not is_showable(value):
        raise _malformed(f"the claim {claim} holds a name with invisible or control characters")
    return value


def _malformed(message: str) -> Unauthenticated:
    return Unauthenticated(message, cause="token-malformed", hint="ask who runs the issuer to correct the claim")
