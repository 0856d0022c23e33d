"""Blocked principals: how one is named, what a block says, and how a blocked one is refused.

A block is the kill switch: by an operator's word a principal may do nothing from now on,
whatever the policy says. Pure: which principals are blocked is kept by the ledger
(ledger/blocks.py); the workers hear of it (gateway/blocks.py).
"""

from collections.abc import Collection
from typing import Final

from doorward.core.characters import is_showable
from doorward.errors import Misconfigured, Refused

_LONGEST: Final = 512  # an alias, and a subject as core/identity.py takes it


def check_name(name: str) -> None:
    """Raise Refused unless this may be the name of a principal: ISSUER-ALIAS:SUBJECT."""
    alias, _, subject = name.partition(":")
    if not alias or not subject or len(name) > _LONGEST or name != name.strip() or not is_showable(name):
        raise Refused(
            "this names no principal",
            cause="principal-malformed",
            hint="write ISSUER-ALIAS:SUBJECT, such as corp:agent-7",
        )


def check_known(name: str, issuers: Collection[str]) -> None:
    """Raise Misconfigured unless the name is one of a configured issuer."""
    try:
        check_name(name)
    except Refused as error:
        raise Misconfigured(f"{name!r} names no principal", hint=error.hint) from None
    alias = name.partition(":")[0]
    if alias not in issuers:
        raise Misconfigured(
            f"no issuer has the alias {alias!r}", hint=f"the settings know {', '.join(sorted(issuers)) or 'none'}"
        )


def refusal() -> Refused:
    """What a blocked principal is told; neither by whom nor why, which is for persons."""
    return Refused(
        "this principal is blocked", cause="principal-blocked", hint="do not repeat it; ask the operator of the gateway"
    )
