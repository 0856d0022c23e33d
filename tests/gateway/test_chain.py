from pathlib import Path
from typing import Any

import pytest

from doorward.errors import Misconfigured, TargetFailed, Unavailable, Unclear
from doorward.gateway.chain import check_secrets, load_credentials
from doorward.settings import Settings, parse_settings
from tests.parts.flows import answer, client, flow_for, run, tunnelled
from tests.parts.gateway import KEY, SECRET, Gateway

TEXT = """
issuers: {corp: {issuer: "https://idp.example", audience: doorward}}
credentials:
  good: {value: "Bearer {secret}", secret: {file: good}}
  other: {header: X-Key, secret: {file: other}}
"""


def settings(folder: Path, **secrets: str) -> Settings:
    for name, secret in secrets.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(secret)
    return parse_settings(TEXT, folder / "doorward.yaml")


def test_each_side_of_a_credential_shows_its_own_part(tmp_path: Path) -> None:
    made = load_credentials(settings(tmp_path, good=SECRET, other="0123456789abcdef"), KEY)
    generation = made["good"].generation()
    assert made["good"].wire_header(generation) == ("Authorization", f"Bearer {SECRET}")
    assert made["other"].wire_header(made["other"].generation()) == ("X-Key", "0123456789abcdef")
    assert made["good"].echo_guard() is made["good"].echo_guard()
    assert made["good"].echo_guard().found(f"a {SECRET} b".encode())
    assert SECRET not in repr(made)
    assert SECRET not in repr(vars(made["good"]))


def test_a_rotation_changes_the_generation_and_keeps_the_last_secret_in_the_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.credentials.file.LOOK_AGAIN_S", 0.0)
    made = load_credentials(settings(tmp_path, good=SECRET, other="0123456789abcdef"), KEY)["good"]
    generation, guard = made.generation(), made.echo_guard()
    (tmp_path / "good").write_text("the-next-secret-of-the-target")
    assert made.generation() != generation
    with pytest.raises(Unavailable) as rotated:
        made.wire_header(generation)
    assert rotated.value.cause == "credential-rotated"
    assert made.echo_guard() is not guard
    assert made.echo_guard().found(SECRET.encode())
    assert made.echo_guard().found(b"the-next-secret-of-the-target")


def test_check_finds_each_secret_that_is_wrong(tmp_path: Path) -> None:
    assert len(check_secrets(settings(tmp_path), KEY)) == 2
    problems = check_secrets(settings(tmp_path, good=SECRET, other="sh0rt"), KEY)
    assert [type(each) for each in problems] == [Misconfigured]
    assert "sh0rt" not in str(problems[0])
    with pytest.raises(Misconfigured):
        load_credentials(settings(tmp_path, good=SECRET, other="sh0rt"), KEY)


async def test_the_first_cause_counts(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    gateway.chain.failed(flow, Unclear("first", cause="first"))
    gateway.chain.failed(flow, TargetFailed("second", cause="second"))
    page = gateway.chain.page(flow, TargetFailed("third", cause="third"))
    assert page.status_code == 400
    assert b'"first"' in (page.content or b"")
    assert gateway.chain.page(None, TargetFailed("third", cause="third")).status_code == 502


async def test_an_answer_whose_head_came_was_executed(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    gateway.chain.wire(flow)
    gateway.chain.failed(flow, TargetFailed("closed", cause="target-closed"))
    assert gateway.chain.exchanges.of(flow).executed == "unknown"
    flow.response = answer()
    gateway.chain.failed(flow, TargetFailed("closed", cause="target-closed"))
    assert gateway.chain.exchanges.of(flow).executed == "yes"


async def test_a_crash_concludes_each_exchange_of_the_connection(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    flows = [flow_for(of, path=f"/v1/{number}") for number in range(3)]
    for flow in flows:
        await run(gateway, "requestheaders", flow)
        await run(gateway, "request", flow)
    other = flow_for(client())
    gateway.chain.exchanges.of(other)
    gateway.chain.crashed(of, RuntimeError(SECRET))
    await gateway.chain.stop()
    assert {entry.fields["request"] for entry in gateway.entries("request.outcome")} == {
        gateway.chain.exchanges.of(flow).id for flow in flows
    }


async def test_stop_writes_what_is_still_counted(gateway: Gateway) -> None:
    of = client()
    for _ in range(3):
        gateway.chain.unreadable(of, Unclear("no HTTP", cause="not-http"))
    await gateway.chain.stop()
    counts: list[Any] = [entry.fields["count"] for entry in gateway.entries("connection.refused")]
    assert sum(counts) == 3
