"""Policies for tests, as values that JSON can write."""

from typing import Any

from tests.parts.http2_target import Http2Target
from tests.parts.raw_target import RawTarget
from tests.parts.stream_target import StreamTarget
from tests.parts.target import Target


def policy_for(target: Target | RawTarget | Http2Target | StreamTarget, **parts: Any) -> dict[str, Any]:
    """Agents may read /v1, may write with a hold; e-mails are masked."""
    policy: dict[str, Any] = {
        "targets": {
            "billing": {
                "kind": "http",
                "url": target.url,
                "hosts": ["billing.internal"],
                "credential": "target-token",
            }
        },
        "roles": {
            "reader": [{"methods": ["GET"], "paths": ["/v1/**"]}],
            "writer": [{"methods": ["POST", "PATCH", "DELETE"], "paths": ["/v1/**"]}],
        },
        "bindings": [
            {"role": "reader", "target": "billing", "groups": ["corp:agents"]},
            {"role": "writer", "target": "billing", "groups": ["corp:agents"]},
        ],
        "holds": [
            {
                "name": "delete",
                "match": {"target": "billing", "methods": ["DELETE"]},
                "approvers": {"groups": ["corp:owners"], "count": 1},
                "expires": "15m",
            }
        ],
        "denies": [{"name": "no secrets", "match": {"target": "billing", "paths": ["/v1/secrets/**"]}}],
        "masks": [{"name": "personal data", "match": {"target": "billing"}, "fields": ["$..email"]}],
    }
    return policy | parts
