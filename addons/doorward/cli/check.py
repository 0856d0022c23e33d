"""`check`: settings, policy with its tests, secrets and authority, as `serve` would find them."""

from datetime import UTC, datetime
from pathlib import Path

import click

from doorward.cli.output import complain, show_json
from doorward.core.policy import Policy
from doorward.core.policy_file import lint_policy, load_policy
from doorward.core.policy_tests import run_policy_tests
from doorward.errors import DoorwardError, Misconfigured
from doorward.pki.deployment_key import load_key
from doorward.pki.files import CA_FILE, ROOT_FILE, ROOT_KEY_FILE
from doorward.pki.intermediate import needs_reissue
from doorward.settings import (
    Settings,
    config_path,
    deployment_key_file,
    issuers_of,
    load_settings,
    read_policy_files,
    read_secret,
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def check(config: Path | None, as_json: bool) -> int:
    """Say all that is wrong before `serve` does; 0 when nothing is."""
    file = config_path(config)
    settings = load_settings(file).settings
    problems: list[DoorwardError] = []
    policy = _policy(settings, problems)
    failed = [each for each in run_policy_tests(policy) if not each.passed] if policy else []
    problems += [
        Misconfigured(
            f"a test expects {each.test.expect} and gets {each.verdict}: {each.reason}",
            where=each.test.where,
            hint=f"{each.test.method} {each.test.raw_target} as {each.test.principal.name}",
        )
        for each in failed
    ]
    _files(settings, file.parent, policy, problems)
    if as_json:
        show_json(
            ok=not problems, problems=[{"message": p.message, "hint": p.hint, "cause": p.cause} for p in problems]
        )
    else:
        for problem in problems:
            complain(problem)
        if not problems:
            assert policy is not None
            click.echo(
                f"ok: {len(policy.targets)} targets, {len(policy.roles)} roles, {len(policy.holds)} holds, "
                f"{len(policy.masks)} masks, {len(policy.tests)} tests passed"
            )
    return 2 if problems else 0


def _policy(settings: Settings, problems: list[DoorwardError]) -> Policy | None:
    try:
        texts = read_policy_files(settings.policies)
    except Misconfigured as error:
        problems.append(error)
        return None
    found = lint_policy(texts, issuers=settings.issuers, credentials=settings.credentials)
    problems += found
    return None if found else load_policy(texts, issuers=settings.issuers, credentials=settings.credentials)


def _files(settings: Settings, home: Path, policy: Policy | None, problems: list[DoorwardError]) -> None:
    try:
        issuers_of(settings)
        if settings.console and settings.console.client_secret:
            read_secret(settings.console.client_secret)
        key = load_key(deployment_key_file(settings))
    except Misconfigured as error:
        problems.append(error)
        return
    from doorward.gateway.authorities import with_authorities
    from doorward.gateway.chain import check_secrets
    from doorward.gateway.mitm.tls import check_listener

    problems += check_secrets(settings, key)
    for pair in (settings.tls, settings.console.tls if settings.console else None):
        try:
            if pair is not None:
                check_listener(pair.cert, pair.key)
        except Misconfigured as error:
            problems.append(error)
    if policy is None:
        return
    try:
        with_authorities(policy, home)
    except Misconfigured as error:
        problems.append(error)
    hosts = {host for target in policy.targets.values() for host, _ in target.hosts}
    if not (settings.ca / ROOT_FILE).exists():
        problems.append(Misconfigured(f"no root certificate in {settings.ca}", hint="run `doorward init`"))
    elif not (settings.ca / ROOT_KEY_FILE).exists():
        authority = settings.ca / CA_FILE
        if not authority.exists() or needs_reissue(authority.read_bytes(), hosts, datetime.now(UTC)):
            problems.append(
                Misconfigured(
                    "the authority must be issued anew, and the root's key is not here",
                    hint=f"bring {ROOT_KEY_FILE} back for one start",
                )
            )
