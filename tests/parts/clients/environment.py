"""The environment of an agent: what `doorward agent env` prints, as a shell takes it, and nothing of ours."""

import os
import subprocess
from collections.abc import Mapping

from tests.parts.deployment import Deployment


def environment(
    deployment: Deployment, base: Mapping[str, str] = os.environ, *, token: str | None = None
) -> dict[str, str]:
    """`base` without its proxies, and what a shell makes of the lines."""
    script = deployment.command("agent", "env").stdout + "env -0"
    plain = {name: value for name, value in base.items() if not name.lower().endswith("_proxy")}
    given = {"DOORWARD_TOKEN": deployment.provider.token() if token is None else token}
    done = subprocess.run(["bash", "-c", script], env={**plain, **given}, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
