"""`policy test` and `policy explain`: what the rules say, without a gateway."""

import json
import re
from pathlib import Path

import click

from doorward.cli.output import show_facts, show_json
from doorward.core.plain_http import read_action
from doorward.core.policy import Policy, decide
from doorward.core.policy_file import load_policy
from doorward.core.policy_tests import run_policy_tests
from doorward.errors import Misconfigured, Refused
from doorward.model import Principal, Verdict
from doorward.settings import config_path, load_settings, read_policy_files

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\]]+\]|[^/?#:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?")


@click.group()
def policy() -> None:
    """Ask the policy, and run its tests."""


@policy.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def test(config: Path | None, as_json: bool) -> int:
    """Run the tests that stand in the policy files; 1 if one fails."""
    outcomes = run_policy_tests(_load(config))
    failed = [each for each in outcomes if not each.passed]
    if as_json:
        show_json(
            passed=len(outcomes) - len(failed),
            failed=[
                {"where": e.test.where, "expect": e.test.expect, "got": e.verdict, "rules": e.rules, "reason": e.reason}
                for e in failed
            ],
        )
    else:
        for each in failed:
            click.echo(
                f"{each.test.where}: {each.test.method} {each.test.raw_target} as {each.test.principal.name}: "
                f"expected {each.test.expect}, got {each.verdict} ({each.reason}; {', '.join(each.rules)})"
            )
        click.echo(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


@policy.command()
@click.argument("method")
@click.argument("url")
@click.option("--as", "principal", required=True, metavar="ISSUER:SUBJECT", help="Who asks.")
@click.option("--group", "groups", multiple=True, metavar="ISSUER:GROUP", help="A group of theirs; repeatable.")
@click.option("--body", default="", help="A JSON body.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def explain(
    config: Path | None, method: str, url: str, principal: str, groups: tuple[str, ...], body: str, as_json: bool
) -> int:
    """Say what would happen to a request, and by which rules; 0 allow or hold, 1 deny."""
    loaded = _load(config)
    alias, _, subject = principal.partition(":")
    if not subject:
        raise Misconfigured(f"{principal!r} names nobody", hint="write --as ISSUER-ALIAS:SUBJECT, such as corp:agent-7")
    who = Principal(alias, subject, groups, loaded.owners.get(principal))
    asked = _URL.fullmatch(url)
    if asked is None:
        raise Misconfigured(f"{url!r} is no URL", hint="write https://HOST/PATH, as an agent would ask for it")
    host = asked["host"].removeprefix("[").removesuffix("]")
    number = int(asked["port"] or {"http": 80, "https": 443}[asked["scheme"]])
    target = loaded.target_for(host, number)
    facts: dict[str, object]
    if target is None:
        facts = {"verdict": Verdict.DENY, "reason": f"no target has the host {host}:{number}", "rules": ()}
    else:
        headers = [("Content-Type", "application/json")] if body else []
        try:
            action = read_action(
                who,
                target,
                method,
                asked["path"] or "/",
                headers,
                body.encode(),
                credential_header=None,
                body_mask=loaded.has_body_masks(target.name),
            )
        except Refused as error:
            facts = {"verdict": Verdict.DENY, "reason": error.message, "rules": (), "cause": error.cause}
        else:
            decision = decide(loaded, who, action, body.encode())
            facts = {
                "verdict": decision.verdict,
                "reason": decision.reason,
                "rules": decision.rules,
                "risk": decision.risk.name.lower(),
                "masks": decision.masks,
                "approvals": [
                    f"{ask.rule}: {ask.count} of {', '.join((*ask.approvers.groups, *ask.approvers.subjects))}"
                    for ask in decision.asks
                ],
            }
    if as_json:
        show_json(**json.loads(json.dumps(facts, default=list)))
    else:
        show_facts(facts)
    return 1 if facts["verdict"] is Verdict.DENY else 0


def _load(config: Path | None) -> Policy:
    settings = load_settings(config_path(config)).settings
    return load_policy(read_policy_files(settings.policies), issuers=settings.issuers, credentials=settings.credentials)
