import gc

import pytest

from doorward.gateway.exchange import Exchange, Exchanges, new_request_id
from tests.parts.flows import client, flow_for


@pytest.mark.parametrize(
    ("sent", "answered", "executed"), [(False, False, "no"), (True, False, "unknown"), (True, True, "yes")]
)
def test_whether_the_target_acted(sent: bool, answered: bool, executed: str) -> None:
    assert Exchange(client="", sent=sent, answered=answered).executed == executed


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(each) == 28 for each in ids)
    assert [each[:12] for each in ids] == sorted(each[:12] for each in ids)


def test_an_exchange_lives_as_long_as_its_flow() -> None:
    exchanges = Exchanges()
    of = client("10.0.0.7")
    flow, other = flow_for(of), flow_for(client())
    first = exchanges.of(flow)
    assert exchanges.of(flow) is first
    assert first.client == "10.0.0.7"
    exchanges.of(other)
    assert exchanges.of_client(of) == [(flow, first)]
    del flow
    gc.collect()
    assert exchanges.of_client(of) == []


def test_the_exchange_is_in_no_state_of_the_flow() -> None:
    exchanges = Exchanges()
    flow = flow_for(client())
    identity = exchanges.of(flow).id
    assert identity not in repr(flow.get_state())
