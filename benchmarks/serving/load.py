"""Load: clients that ask as soon as they are answered, and arrivals that wait for nobody."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.connection import Answered, Asked, Connection, LostError

LOST = 0
"""Stands for the status where the connection was lost, or no answer came."""
KEEP_EVERY = 16
"""Of this many answers one is kept, to be checked when the load is over."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: its number in the list asked, when it was due and done, and its answer.

    `due` and `done` are seconds since the load began, `stages` the milliseconds that `Server-Timing` tells of; the
    answer itself is kept of a sample.
    """

    number: int
    due: float
    done: float
    status: int
    stages: dict[str, float]
    answer: Answered | None

    @property
    def took_ms(self) -> float:
        """From when it was due: what waited to be sent has waited too."""
        return 1000 * (self.done - self.due)


@dataclass
class Load:
    """What a load did.

    Attributes:
        outcomes: Of what was sent, in the order of the answers.
        unsent: Arrivals that found all connections busy.
        drained_s: From the last arrival to the last answer.
        cpu: The load generator's share of a core.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    unsent: int = 0
    drained_s: float = 0.0
    cpu: float = 0.0

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers had each status."""
        return dict(sorted(Counter(outcome.status for outcome in self.outcomes).items()))

    def rate(self, start: float, end: float) -> float:
        """Requests answered with 200 a second, about between two moments."""
        return rate([outcome.done for outcome in self.outcomes if outcome.status == 200], start, end)

    def took_ms(self) -> list[float]:
        """Milliseconds of every 200, sorted."""
        return sorted(outcome.took_ms for outcome in self.outcomes if outcome.status == 200)


def rate(moments: Iterable[float], start: float, end: float) -> float:
    """How many a second, from the last before `start` to the last before `end`.

    What comes in batches would else be counted with a whole batch too many or too few.
    """
    ordered = sorted(moment for moment in moments if moment < end)
    before = bisect.bisect(ordered, start)
    if before == len(ordered):
        return 0.0
    return (len(ordered) - before) / (ordered[-1] - (ordered[before - 1] if before else start))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of sorted values lies; not a number of none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


async def one_by_one(port: int, asked: Sequence[Asked], count: int) -> list[Outcome]:
    """Asks `count` times, each time when the last answer is there: what a client sees of an idle server."""
    connection = await Connection.open(port)
    start = time.monotonic()
    outcomes = []
    for number in itertools.islice(itertools.cycle(range(len(asked))), count):
        due = time.monotonic() - start
        answer = await connection.ask(asked[number])
        outcomes.append(Outcome(number, due, time.monotonic() - start, answer.status, answer.stages, answer))
    connection.close()
    return outcomes


async def answered(port: int, asked: Sequence[Asked], count: int, warm_up: int = 0) -> list[Outcome]:
    """The same after some that are not kept.

    Raises:
        RuntimeError: an answer is not a 200.
    """
    outcomes = await one_by_one(port, asked, warm_up + count)
    for outcome in outcomes:
        if outcome.status != 200:
            body = b"" if outcome.answer is None else outcome.answer.body
            raise RuntimeError(
                f"{asked[outcome.number].path} answers {outcome.status}: {body[:500].decode(errors='replace')}"
            )
    return outcomes[warm_up:]


def median_ms(outcomes: Sequence[Outcome]) -> float:
    """The median time of answers."""
    return statistics.median(outcome.took_ms for outcome in outcomes)


async def closed(port: int, asked: Sequence[Asked], clients: int, seconds: float) -> Load:
    """Clients on keep-alive connections, each of which asks as soon as it is answered."""
    crowd = _Crowd(port, asked)
    numbers = itertools.cycle(range(len(asked)))

    async def client() -> None:
        while (due := crowd.now) < seconds:
            await crowd.ask(next(numbers), due)

    await asyncio.gather(*(client() for _ in range(clients)))
    return crowd.end()


def at_random(rate: float, seconds: float, seed: int = 0) -> Iterator[float]:
    """Moments at random, `rate` a second (Poisson), the same for the same seed."""
    chance, due = random.Random(seed), 0.0  # noqa: S311 (arrivals are no secret)
    while (due := due + chance.expovariate(_some(rate))) < seconds:
        yield due


def steadily(rate: float, seconds: float) -> Iterator[float]:
    """Moments at equal distances, `rate` a second."""
    return (number / rate for number in range(int(_some(rate) * seconds)))


def _some(rate: float) -> float:
    if rate <= 0:
        raise RuntimeError(
            "nothing was answered while the rate was measured: leave the machine alone, or give --seconds"
        )
    return rate


async def arriving(port: int, asked: Sequence[Asked], moments: Iterable[float], *, connections: int) -> Load:
    """Requests that arrive at moments, in seconds from now, whether or not those before are answered.

    An arrival that finds all `connections` busy is not sent.

    Raises:
        RuntimeError: the rate of the moments, a share of what was measured, is 0.
    """
    crowd = _Crowd(port, asked)
    busy: set[asyncio.Task[None]] = set()
    for number, due in zip(itertools.cycle(range(len(asked))), moments, strict=False):
        await asyncio.sleep(max(0, due - crowd.now))  # of what is late already, too, so that answers are read
        if len(busy) >= connections:
            crowd.load.unsent += 1
            continue
        task = asyncio.create_task(crowd.ask(number, due))
        busy.add(task)
        task.add_done_callback(busy.discard)
    last = crowd.now
    if busy:
        await asyncio.wait(busy)
    crowd.load.drained_s = crowd.now - last
    return crowd.end()


class _Crowd:
    """Connections that whoever asks next takes, and what became of what was asked."""

    def __init__(self, port: int, asked: Sequence[Asked]) -> None:
        self.load = Load()
        self._port, self._asked = port, asked
        self._idle: list[Connection] = []
        self._start, self._cpu = time.monotonic(), time.process_time()

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._start

    async def ask(self, number: int, due: float) -> None:
        """Asks and notes the outcome."""
        answer = None
        with contextlib.suppress(LostError, TimeoutError, OSError):
            answer = await self._answer(self._asked[number])
        kept = answer if len(self.load.outcomes) % KEEP_EVERY == 0 else None
        status, stages = (answer.status, answer.stages) if answer else (LOST, {})
        self.load.outcomes.append(Outcome(number, due, self.now, status, stages, kept))

    async def _answer(self, asked: Asked) -> Answered:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._through(connection, asked)
            except (
                LostError
            ) as lost:  # it had been idle for so long that the server closed it: every client tries again
                if lost.begun:
                    raise
        return await self._through(await Connection.open(self._port), asked)

    async def _through(self, connection: Connection, asked: Asked) -> Answered:
        try:
            answer = await connection.ask(asked)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def end(self) -> Load:
        """Hangs up."""
        for connection in self._idle:
            connection.close()
        self.load.cpu = (time.process_time() - self._cpu) / self.now
        return self.load
