"""asyncio's share of `make rivals`: the cases of bench/micro, as one writes them in Python.

asyncio.py [CASE...] prints "CASE NS" for each case, or for all: the median of several repeats, in
nanoseconds per operation. Who runs it binds the process to one CPU for the cases of one loop.
"""
import sys

del sys.path[0]  # this folder, in which this file would be taken for the library

import asyncio
import random
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

REPEATS = 3
TASKS = 10_000  # alive at once in spawn-join and gather
TIMERS = 100_000  # live at once
IN_FLIGHT = 1000  # blocking calls


def since(begun, n):
    return (perf_counter_ns() - begun) / n


async def yields(n):
    """n tasks do nothing but let the others run."""
    each = 50_000 // n

    async def task():
        for _ in range(each):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(task()) for _ in range(n)]
    begun = perf_counter_ns()
    for t in tasks:
        await t
    return since(begun, each * n)


async def nothing():
    pass


async def spawn_join():
    """Tasks that return at once; all exist before the first runs."""
    begun = perf_counter_ns()
    tasks = [asyncio.create_task(nothing()) for _ in range(TASKS)]
    for t in tasks:
        await t
    return since(begun, TASKS)


async def same(i):
    return i


async def gather():
    """The same, each with a result, which stand in order in the end."""
    begun = perf_counter_ns()
    results = await asyncio.gather(*[same(i) for i in range(TASKS)])
    ns = since(begun, TASKS)
    assert results == list(range(TASKS))
    return ns


async def future():
    """Two tasks answer each other; each hand-over makes a future, sets it and wakes the one that
    waits."""
    rounds = 10_000
    loop = asyncio.get_running_loop()

    async def answer(pairs):
        for call, reply in pairs:
            reply.set_result(await call)

    begun = perf_counter_ns()
    pairs = [(loop.create_future(), loop.create_future()) for _ in range(rounds)]
    other = asyncio.create_task(answer(pairs))
    for i, (call, reply) in enumerate(pairs):
        call.set_result(i)
        await reply
    await other
    return since(begun, rounds * 2)


async def queue(room):
    """One task puts, one takes."""
    messages = 50_000
    q = asyncio.Queue(room)

    async def produce():
        for i in range(messages):
            await q.put(i)

    begun = perf_counter_ns()
    producer = asyncio.create_task(produce())
    for _ in range(messages):
        await q.get()
    await producer
    return since(begun, messages)


async def mutex():
    """Nobody else wants it."""
    locks = 100_000
    lock = asyncio.Lock()
    begun = perf_counter_ns()
    for _ in range(locks):
        async with lock:
            pass
    return since(begun, locks)


def fire():
    raise AssertionError("a timer fired")


async def timer():
    """All are added and then all are cancelled, an hour and more before they would fire. asyncio
    removes them later, so one turn of its loop belongs to it."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    whens = [now + random.uniform(3600, 7200) for _ in range(TIMERS)]
    begun = perf_counter_ns()
    handles = [loop.call_at(when, fire) for when in whens]
    for handle in handles:
        handle.cancel()
    await asyncio.sleep(0)
    return since(begun, TIMERS)


def call():
    pass


async def blocking():
    """Empty calls on two threads."""
    each = 5
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:

        async def submit():
            for _ in range(each):
                await loop.run_in_executor(pool, call)

        begun = perf_counter_ns()
        await asyncio.gather(*[submit() for _ in range(IN_FLIGHT)])
        return since(begun, IN_FLIGHT * each)


class OtherLoop:
    """A second loop, on a thread of its own."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self.loop

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def chan_threads():
    """One loop puts, another takes. asyncio has no bounded queue between loops: one calls the
    other's, and what is under way has no limit."""
    messages = 20_000

    async def make():
        return asyncio.Queue()

    with OtherLoop() as other:
        # Made there: before Python 3.10 a queue belongs to the loop that made it.
        q = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), other))

        async def consume():
            for _ in range(messages):
                await q.get()

        begun = perf_counter_ns()
        consumer = asyncio.run_coroutine_threadsafe(consume(), other)
        for i in range(messages):
            other.call_soon_threadsafe(q.put_nowait, i)
        await asyncio.wrap_future(consumer)
        return since(begun, messages)


async def trip_threads():
    """There and back between two loops."""
    trips = 1000
    loop = asyncio.get_running_loop()

    def answer(reply):
        loop.call_soon_threadsafe(reply.set_result, None)

    with OtherLoop() as other:
        begun = perf_counter_ns()
        for _ in range(trips):
            reply = loop.create_future()
            other.call_soon_threadsafe(answer, reply)
            await reply
        return since(begun, trips)


CASES = {
    "yield-2": lambda: yields(2),
    "yield-1000": lambda: yields(1000),
    "spawn-join": spawn_join,
    "gather": gather,
    "future": future,
    "queue": lambda: queue(256),
    "chan": lambda: queue(128),  # it has queues only
    "mutex": mutex,
    "timer": timer,
    "chan-threads": chan_threads,
    "blocking": blocking,
    "trip-threads": trip_threads,
}


def main(wanted):
    for name, case in CASES.items():
        if wanted and name not in wanted:
            continue
        asyncio.run(case())  # warms up
        ns = statistics.median(asyncio.run(case()) for _ in range(REPEATS))
        print(f"{name} {ns:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
