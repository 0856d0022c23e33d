"""The digest of an action: what an approval binds to.

HMAC-SHA-256 under the deployment's key over the RFC 8785 bytes of everything that makes the
request the one that a person saw. Approvals in the ledger carry these digests for ever, so the
form never changes: a new form gets a new `form` name, and tests/vectors pins this one. Left out
are what the gateway overwrites and what changes nothing at the target. It decides nothing. Called
by the gateway before it holds or records an action.
"""

import hmac
from operator import itemgetter

from doorward.core.canonical import canonical_bytes
from doorward.core.headers import HOP_BY_HOP
from doorward.model import Action, Json

_FORM = "doorward/action/1"
VOLATILE = HOP_BY_HOP | {
    "accept-encoding", "content-length", "date", "kubectl-session", "sec-websocket-key", "traceparent", "tracestate",
    "user-agent",
}  # fmt: skip


def action_digest(key: bytes, action: Action, *, credential: str | None, generation: str | None, epoch: int = 0) -> str:
    """Return the digest in hex; `epoch` counts the times that the ledger was restored."""
    document: dict[str, Json] = {
        "form": _FORM,
        "principal": action.principal.name,
        "target": action.target,
        "url": action.target_url,
        "credential": credential,
        "generation": generation,
        "protocol": action.protocol,
        "verb": action.verb,
        "path": action.raw_path,
        "query": action.raw_query,
        # Sorted by name alone: the order of equal names may mean something to the target.
        "headers": [[name, value] for name, value in sorted(action.headers, key=itemgetter(0)) if name not in VOLATILE],
        "body": action.body_digest,
        "epoch": epoch,
    }
    return hmac.digest(key, canonical_bytes(document), "sha256").hex()
