from doorward.core.redaction.steps import Steps, finish


def work(done: list[int]) -> Steps[str]:
    for n in range(3):
        done.append(n)
        yield
    return "made"


def test_all_steps_are_done_and_the_result_comes() -> None:
    done: list[int] = []
    assert finish(work(done)) == "made"
    assert done == [0, 1, 2]


def test_nothing_is_done_before_it_is_asked_for() -> None:
    done: list[int] = []
    steps = work(done)
    assert done == []
    next(steps)
    assert done == [0]
