import asyncio
from collections.abc import Sequence

import pytest

from mlops.contract.contract import Values
from mlops.service.gathering import Gathering


class Model:
    """A model whose prediction of a row is the value of the row, as text; it fails for a row of -1."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: Values) -> list[str]:
        self.asked.append(len(rows))
        values = [row[0] for row in rows]
        if -1 in values:
            raise ValueError("a row of -1")
        return [*map(str, values)]


def asked(model: Model, requests: Sequence[Sequence[int]]) -> list[list[str] | BaseException]:
    """Asks at once, as tasks of one turn of the event loop."""
    gathering = Gathering(model)

    async def ask(request: Sequence[int]) -> list[str]:
        return await gathering.predict([(value,) for value in request])

    async def all_at_once() -> list[list[str] | BaseException]:
        return await asyncio.gather(*map(ask, requests), return_exceptions=True)

    return asyncio.run(all_at_once())


def test_those_that_come_together_are_asked_about_together_and_each_gets_its_own() -> None:
    model = Model()
    requests = [[1], [2, 3], [4], [5, 6, 7]]
    assert asked(model, requests) == [["1"], ["2", "3"], ["4"], ["5", "6", "7"]]
    assert model.asked == [1, 6]


def test_while_many_come_not_even_the_first_is_asked_about_alone() -> None:
    model = Model()
    gathering = Gathering(model)

    async def turns() -> None:
        for requests in (3, 3, 1, 1):
            await asyncio.gather(*(gathering.predict([(1,)]) for _ in range(requests)))

    asyncio.run(turns())
    assert model.asked == [1, 2, 3, 1, 1]


def test_one_alone_is_answered_at_once() -> None:
    model = Model()
    assert asked(model, [[1]]) == [["1"]]
    assert model.asked == [1]


def test_a_request_that_fails_fails_alone() -> None:
    first, good, bad, last = asked(Model(), [[1], [2], [-1], [3]])
    assert [first, good, last] == [["1"], ["2"], ["3"]]
    assert isinstance(bad, ValueError)


def test_one_that_is_given_up_meanwhile_changes_nothing_for_the_others() -> None:
    gathering = Gathering(Model())

    async def give_one_up() -> list[str]:
        asked = [asyncio.create_task(gathering.predict([(value,)])) for value in (1, 2, 3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked[1]
        return [*await asked[0], *await asked[2]]

    assert asyncio.run(give_one_up()) == ["1", "3"]
