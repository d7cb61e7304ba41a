"""The package `spaces` as on a ZeroGPU Space, without a GPU: marked functions run in a fork and pickle what passes."""

from __future__ import annotations

import functools
import inspect
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from typing import Any

FORKS: list[tuple[str, int]] = []
"""Name and seconds of each function that was run in a fork."""
_forked = False


def GPU(duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def mark(task: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(task):

            @functools.wraps(task)
            def stream(*given: Any) -> Iterator[Any]:
                yield from task(*given) if _forked else _run(task, given, duration)

            return stream

        @functools.wraps(task)
        def call(*given: Any) -> Any:
            return (
                task(*given)
                if _forked
                else next(_run(lambda *a: iter([task(*a)]), given, duration, task.__name__))
            )

        return call

    return mark


def _run(task: Callable[..., Any], given: tuple[Any, ...], duration: int, name: str = "") -> Iterator[Any]:
    FORKS.append((name or task.__name__, duration))
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    arguments = pickle.dumps(given)

    def work() -> None:
        global _forked
        _forked = True
        try:
            for value in task(*pickle.loads(arguments)):
                theirs.send_bytes(pickle.dumps((True, value)))
            theirs.send_bytes(pickle.dumps((None, None)))
        except BaseException as error:
            theirs.send_bytes(pickle.dumps((False, type(error).__name__)))

    process = fork.Process(target=work, daemon=True)
    process.start()
    try:
        while True:
            good, value = pickle.loads(ours.recv_bytes())
            if good is None:
                return
            if not good:
                raise RuntimeError(f"ZeroGPU worker error: {value}")
            yield value
    finally:
        process.terminate()
        process.join()
