"""The target's credential: in processes that have no need of it, and in answers after a rotation."""

from pathlib import Path

from tests.parts.deployment import SECRET, Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Answer, Got, Target, json_answer

URL = "https://billing.internal/v1/customers"


def test_a_secret_in_the_environment_reaches_the_gateway_alone(provider: Provider) -> None:
    variable = "DOORWARD_TEST_TARGET_SECRET"
    credentials = {"target-token": {"value": "Bearer {secret}", "secret": {"env": variable}}}
    with Target() as target:
        deployment = Deployment(provider, policy_for(target), console=True, credentials=credentials)
        deployment.environment = {variable: SECRET}
        with deployment, deployment.agent() as agent:
            assert agent.get(URL).status_code == 200
            assert dict(target.got[0].headers)["Authorization"] == f"Bearer {SECRET}"
            holders = [
                part
                for part in ("ledger", "gateway", "console")
                for pid in deployment.pids(part)
                if SECRET.encode() in Path(f"/proc/{pid}/environ").read_bytes()
            ]
            assert holders == ["gateway"]


def test_an_answer_that_echoes_a_secret_rotated_twice_meanwhile_is_not_released(provider: Provider) -> None:
    with Target() as target, Deployment(provider, policy_for(target)) as deployment:

        def rotate(got: Got) -> Answer:
            for number in (1, 2):
                deployment.write_secret(f"n3w-s3cret-of-the-target-{number:04}")
                deployment.wait_for(lambda number=number: len(deployment.entries("credential.loaded")) == number + 1)
            return json_answer({"echo": dict(got.headers)["Authorization"]})

        target.answer = rotate
        with deployment.agent() as agent:
            answer = agent.get(URL)
        assert SECRET not in answer.text
        assert SECRET.encode() not in deployment.everything_on_disk()


def test_a_secret_that_becomes_unreadable_stops_traffic_and_is_not_told(provider: Provider) -> None:
    with Target() as target, Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        assert agent.get(URL).status_code == 200
        (deployment.folder / "secrets" / "target").chmod(0o644)
        answer = agent.get(URL)
        assert answer.status_code == 503
        assert answer.json()["cause"] == "credential-unreadable"
        assert len(target.got) == 1
        (deployment.folder / "secrets" / "target").unlink()
        assert agent.get(URL).status_code == 503
        assert str(deployment.folder) not in answer.text
        deployment.write_secret(SECRET)
        assert agent.get(URL).status_code == 200
        assert SECRET.encode() not in deployment.everything_on_disk()
