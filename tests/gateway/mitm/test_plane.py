import gc
import inspect

from mitmproxy import connection
from mitmproxy.proxy import commands, events

from doorward.gateway.chain import Chain
from doorward.gateway.mitm.plane import Breathe, Breathed, LetGo, Plane, Serving, serving


def test_the_chain_answers_all_that_is_asked() -> None:
    asked = {name for name, value in vars(Plane).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert asked
    for name in asked:
        assert inspect.signature(getattr(Chain, name)) == inspect.signature(getattr(Plane, name)), name


def test_who_breathes_waits_for_the_answer() -> None:
    asked = Breathe()
    assert asked.blocking is True
    answer = Breathed(asked)
    assert isinstance(answer, events.CommandCompleted)
    assert (answer.command, answer.reply) == (asked, None)


def test_a_layer_that_lets_go_has_closed() -> None:
    assert issubclass(LetGo, commands.CloseConnection)


def test_what_serves_a_connection_goes_with_it() -> None:
    client = connection.Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    serving[client] = Serving()
    before = len(serving)
    del client
    gc.collect()
    assert len(serving) < before
