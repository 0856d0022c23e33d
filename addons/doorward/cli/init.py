"""`init`: what a new deployment needs, and nothing that is there already is touched."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from doorward.cli.output import say
from doorward.errors import Misconfigured
from doorward.pki.deployment_key import load_or_create_key
from doorward.pki.files import ROOT_FILE, ROOT_KEY_FILE, create_root
from doorward.private_files import write_file
from doorward.settings import config_path, deployment_key_file, load_settings

_SETTINGS = """\
listen: 127.0.0.1:8080                 # agents: HTTPS_PROXY=http://agent:TOKEN@127.0.0.1:8080
issuers:
  corp:
    issuer: {issuer}
    audience: doorward                 # `aud` of agents' tokens
    algorithms: [RS256, ES256, EdDSA]
    longest: 1h                        # a token that lives longer is refused
    groups: groups                     # the claim with the groups
console:
  listen: 127.0.0.1:8081
  issuer: corp
  client_id: doorward-console          # never the agents' audience
  client_secret: {{file: secrets/console}}
  roles: {{viewer: ["corp:staff"], reviewer: ["corp:owners"]}}
ledger: {{path: var/}}
policies: policies/
ca: certs/
credentials:
  example-token: {{header: Authorization, value: "Bearer {{secret}}", secret: {{file: secrets/example-token}}}}
hold: {{wait: 45s, repeat: 10m, open_per_principal: 20}}
"""

_POLICY = """\
# See docs/policy.md. Check it with `doorward check`, ask it with `doorward policy explain`.
targets:
  example:
    kind: http
    url: https://example.internal
    hosts: [example.internal]
    credential: example-token
roles:
  example-reader:
    - {methods: [GET], paths: ["/v1/things", "/v1/things/*"], query: [page]}
  example-editor:
    - {methods: [DELETE], paths: ["/v1/things/*"]}
bindings:
  - {role: example-reader, target: example, groups: ["corp:agents"]}
  - {role: example-editor, target: example, groups: ["corp:agents"]}
holds:
  - name: delete a thing
    match: {target: example, methods: [DELETE]}
    approvers: {groups: ["corp:owners"], count: 1}
    expires: 15m
masks:
  - name: personal data
    match: {target: example}
    fields: ["$..email"]
tests:
  - given: {principal: "corp:agent-7", groups: [agents], target: example, method: GET, path: /v1/things}
    expect: allow
  - given: {principal: "corp:agent-7", groups: [agents], target: example, method: DELETE, path: /v1/things/1}
    expect: hold
  - given: {principal: "corp:agent-7", groups: [agents], target: example, method: POST, path: /v1/things}
    expect: deny
"""


@click.command()
@click.option("--issuer", default="https://idp.example", help="URL of your OpenID provider, as in `iss`.")
@click.pass_obj
def init(config: Path | None, issuer: str) -> None:
    """Write doorward.yaml and an example policy where there are none, and make the keys."""
    file = config_path(config)
    folder = file.parent
    if not file.exists():
        _write(file, _SETTINGS.format(issuer=issuer))
        for name in ("console", "example-token"):
            secret = folder / "secrets" / name
            if not secret.exists():
                secret.parent.mkdir(mode=0o700, exist_ok=True)
                write_file(secret, f"replace-me-{secrets.token_hex(16)}\n".encode(), replace=False)
                say(f"made {secret}: put the real secret there")
    settings = load_settings(file).settings
    if not settings.policies.exists():
        settings.policies.mkdir(parents=True)
        _write(settings.policies / "example.yaml", _POLICY)
    settings.ledger.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    load_or_create_key(deployment_key_file(settings))
    try:
        create_root(settings.ca, datetime.now(UTC))
        say(f"made {settings.ca / ROOT_KEY_FILE}: take it offline once the gateway has started")
    except Misconfigured as error:
        if error.cause != "root-exists":
            raise
        say(f"kept {settings.ca / ROOT_FILE}")
    say(f"agents trust {settings.ca / ROOT_FILE}; go on with `doorward check`, then `doorward serve`")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, text.encode(), mode=0o644, replace=False)
    say(f"made {file}")
