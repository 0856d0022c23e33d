"""`flows resend`: sends a recorded request again, through the running gateway, as any agent would.

It is a new request of whoever the token belongs to: identity, policy, holds and approvals apply to it
anew, and it is recorded. Nothing is sent that the record does not hold unmasked.
"""

import asyncio
import ssl
from contextlib import closing
from pathlib import Path

import click
import httpx

from doorward.cli.agent import listening_at
from doorward.cli.flows.filters import checked_why
from doorward.cli.flows.listing import unknown_request
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import pretty_lines, show_facts, show_json
from doorward.cli.record import open_index
from doorward.core.policy_file import load_policy
from doorward.core.resending import Resend, Sent, resend_of
from doorward.errors import Refused, Unavailable
from doorward.ledger.reader import Wanted
from doorward.model import Target
from doorward.pki.deployment_key import load_key
from doorward.pki.files import ROOT_FILE
from doorward.private_files import read_private
from doorward.settings import (
    Settings,
    agent_token,
    config_path,
    deployment_key_file,
    load_settings,
    read_policy_files,
)
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import Index

_REFUSAL = "urn:doorward:refusal:"
_GRACE_S = 30
_HTTP_PORT = 80


@click.command()
@click.argument("request")
@click.option("--why", required=True, help="Why you send it again; goes into the record, as its body is read.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of mode 0600 with the token to send it by; else the token is in DOORWARD_TOKEN.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def resend(config: Path | None, request: str, why: str, token_file: Path | None, as_json: bool) -> None:
    """Send a recorded request again, with a token of yours; it is decided anew."""
    reason = checked_why(why)
    settings = load_settings(config_path(config)).settings
    token = (
        read_private(token_file, what="the token").content.decode("ascii", "replace").strip() if token_file else None
    )
    token = token or agent_token()
    with closing(open_index(config)) as index:
        made, target_name = asyncio.run(_recorded(settings, index, request, reason))
    policy = load_policy(
        read_policy_files(settings.policies), issuers=settings.issuers, credentials=settings.credentials
    )
    target = policy.targets.get(target_name)
    if target is None:
        raise Refused(f"the policy has no target {target_name} any more", cause="target-gone", hint="nothing was sent")
    answer = _send(settings, target, made, token)
    refusal = _refusal(answer)
    if refusal is not None:
        raise Refused(
            f"the gateway refused it ({answer.status_code}, {refusal.get('cause')}, "
            f"executed: {refusal.get('executed')}): {refusal.get('detail')}",
            cause="resend-refused",
            hint=str(refusal.get("next") or ""),
        )
    facts = {"request": answer.headers.get("doorward-request"), "again": request, "status": answer.status_code}
    if as_json:
        show_json(**facts, body=answer.content.decode("utf-8", "replace"))
        return
    show_facts(facts)
    for line in pretty_lines(answer.content):
        click.echo(f"  {line}")


async def _recorded(settings: Settings, index: Index, request: str, why: str) -> tuple[Resend, str]:
    row = index.flow(request)
    if row is None:
        raise unknown_request(request)
    async with record_reader(settings, index, why) as reader:
        (flow,) = [each async for each in reader.flows(reader.rows(Wanted(FlowFilter(request=request))))]
    key = load_key(deployment_key_file(settings))
    return resend_of(flow, Sent(row.digest, row.credential, row.generation), key), row.target or ""


def _send(settings: Settings, target: Target, made: Resend, token: str) -> httpx.Response:
    host, port = next((each for each in target.hosts if each[1] != _HTTP_PORT), target.hosts[0])
    proxy = httpx.Proxy(f"{'https' if settings.tls else 'http'}://{listening_at(settings)}", auth=("resend", token))
    trust = ssl.create_default_context(cafile=str(settings.ca / ROOT_FILE))
    url = url_for(host, port, made.raw_target)
    try:
        with httpx.Client(proxy=proxy, verify=trust, trust_env=False, timeout=settings.hold.wait + _GRACE_S) as client:
            client.headers.clear()  # the recorded ones are all that goes
            return client.send(
                client.build_request(
                    made.method,
                    url,
                    headers=list(made.headers),
                    content=made.body or None,
                )
            )
    except httpx.ProxyError as error:  # the CONNECT was refused; its text is "407 Proxy Authentication Required"
        raise Refused(
            f"the gateway refused the connection: {error}", cause="resend-refused", hint="see that the token is good"
        ) from None
    except httpx.HTTPError as error:
        raise Unavailable(
            f"no answer of the gateway at {listening_at(settings)} ({type(error).__name__})",
            cause="gateway-away",
            hint="see `doorward status`, and in `doorward flows list` whether it went out",
        ) from None


def url_for(host: str, port: int, raw_target: str) -> httpx.URL:
    """Return the URL by which an agent asks; httpx leaves each character alone that the gateway takes."""
    scheme = "http" if port == _HTTP_PORT else "https"
    return httpx.URL(scheme=scheme, host=host, port=port).copy_with(raw_path=raw_target.encode("ascii"))


def _refusal(answer: httpx.Response) -> dict[str, object] | None:
    """What the gateway said, if it was the gateway that answered: a target's header cannot have this name."""
    if answer.headers.get("content-type") != "application/problem+json":
        return None
    try:
        problem = answer.json()
    except ValueError:
        return None
    is_ours = isinstance(problem, dict) and str(problem.get("type")).startswith(_REFUSAL)
    return problem if is_ours else None
