import json
import socket

from tests.parts.command import Terminal


def test_nothing_runs(deployed: Terminal) -> None:
    file = deployed.folder / "doorward.yaml"
    file.write_text(
        file.read_text().replace("127.0.0.1:8080  ", "127.0.0.1:1  ").replace("127.0.0.1:8081", "127.0.0.1:2")
    )
    ran = deployed.run("status")
    assert (ran.code, ran.err) == (3, "")
    assert ran.out == ("ledger      down\ngateway     down\nconsole     down\nlisten      127.0.0.1:1\nopen holds  -\n")


def test_a_gateway_says_itself_where_it_listens(deployed: Terminal) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        at = "{}:{}".format(*listening.getsockname())
        run = deployed.folder / "var" / "run"
        run.mkdir(mode=0o700)
        (run / "gateway.json").write_text(json.dumps({"listen": at, "pid": 1}))
        found = json.loads(deployed.run("status", "--json").out)
    assert (found["gateway"], found["listen"]) == ("up", at)
