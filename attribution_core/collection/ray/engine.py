"""Encodes the shards of a build with Ray Data: on all machines of a cluster, in order, a few in memory at a time.

The driver (the program that builds) reads the source and writes the results, as without Ray. It puts shards into a
queue, an actor that knows where each one is. Ray Data streams their numbers to workers, which fetch shards from the
driver's machine, encode them and send the results back. A shard stays in the queue until its result arrives, so that
Ray can encode it again if a machine is lost.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import sys
import tempfile
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from attribution_core.collection.ray.cluster import Share, library, running, share
from attribution_core.collection.shards import Encoded, Shard, encode
from attribution_core.collection.sources.item import SourceItem
from attribution_core.common.text import message_of
from attribution_core.encoding.encoders import ENCODERS, SHIPPED, load_encoder
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import AttributionError, InvalidInputError, unknown_name

AHEAD = 3
"""Shards in memory per worker: one being encoded, one waiting for it, one waiting to be written."""
TRIES = 3
"""Attempts at a shard whose worker dies, before it is given up; Ray alone would try for ever."""


@dataclass(frozen=True)
class Recipe:
    """How a worker gets its encoder.

    name, device: as `load_encoder` takes them. weights: files of a bundled encoder, by their path in the folder of
    encoders. own: a pickled encoder object, used instead of all that.
    """

    name: str
    device: str
    weights: Mapping[str, bytes]
    own: bytes | None = None

    @classmethod
    def of(cls, name: str, device: str, loaded: ImageEncoder | None = None) -> Recipe:
        """Make the recipe of an encoder.

        Raises `UnknownNameError`, and `InvalidInputError` for an encoder object that cannot be pickled.
        """
        device = device.split(":")[0]  # a worker sees no GPU but its own
        if loaded is None:
            if name not in ENCODERS:
                raise unknown_name("encoder", name, ENCODERS)
            folder = SHIPPED / ENCODERS[name].weights
            files = sorted(folder.glob("*")) if ENCODERS[name].offline and ENCODERS[name].weights else []
            return cls(
                name, device, {f"{folder.name}/{p.name}": p.read_bytes() for p in files if p.is_file()}
            )
        try:
            return cls(loaded.name, device, {}, library().cloudpickle.dumps(loaded))
        except Exception as error:  # whatever its parts raise
            raise InvalidInputError(
                f"encoder '{loaded.name}' cannot be sent to workers ({error}); make it an object "
                "that can be pickled, or build with the engine 'local'."
            ) from error

    def load(self) -> ImageEncoder:
        """Load the encoder in this process. Raises what `load_encoder` does."""
        if self.own is not None:
            encoder: ImageEncoder = pickle.loads(self.own)  # of the same user's driver
            return encoder
        with tempfile.TemporaryDirectory() as folder:
            for path, data in self.weights.items():
                file = Path(folder, path)
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)
            return load_encoder(self.name, device=self.device, checkpoints=folder if self.weights else None)


@dataclass(frozen=True)
class _Answer:
    """What a worker sends back.

    result: the encoded shard; or the exception, with its traceback; or None if the shard is given up. unseen: positions
    of images whose files cannot be opened on the worker's machine.
    """

    result: Encoded | Exception | None
    machine: str
    unseen: tuple[int, ...] = ()
    traceback: str = ""


class _ShardQueue:
    """An actor that knows where the shards under way are, and whether more will come."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._shards: dict[int, list[Any]] = {}
        self._begun: Counter[int] = Counter()
        self._count, self._complete = 0, False
        self._changed = asyncio.Condition()

    async def recipe(self) -> Recipe:
        return self._recipe

    async def put(self, number: int, reference: list[Any]) -> None:
        async with self._changed:
            self._shards[number], self._count = reference, number + 1
            self._changed.notify_all()

    async def complete(self) -> None:
        async with self._changed:
            self._complete = True
            self._changed.notify_all()

    async def wait_for(self, number: int) -> bool:
        """Wait for a shard; False if there are no more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._count > number or self._complete)
            return self._count > number

    async def get(self, number: int) -> list[Any]:
        """Return a shard, or an empty list if it was fetched `TRIES` times and is given up."""
        self._begun[number] += 1
        return self._shards[number] if self._begun[number] <= TRIES else []

    async def drop(self, number: int) -> None:
        self._shards.pop(number, None)
        self._begun.pop(number, None)


def _numbers(_: Any, queue: Any) -> Iterator[Any]:
    """Run as a task: yield a row for each shard as soon as it is queued; the same rows if Ray runs it again."""
    import pyarrow as pa
    import ray

    number = 0
    while ray.get(queue.wait_for.remote(number)):
        yield pa.table({"number": [number]})
        number += 1


class _Worker:
    """An actor of Ray Data: loads the encoder once, then turns the numbers of shards into their results."""

    def __init__(self, queue: Any, threads: int) -> None:
        self._queue, self._threads = queue, threads
        self._encoder: ImageEncoder | None = None

    def __call__(self, batch: Any) -> Iterator[Any]:
        import pyarrow as pa
        import ray

        for number in batch["number"].to_pylist():
            reference = ray.get(self._queue.get.remote(number))
            answer = self._answer(ray.get(reference[0])) if reference else _Answer(None, "")
            data = _pickled(answer)
            yield pa.table({"number": [number], "answer": pa.array([data], pa.large_binary())})

    def _answer(self, items: Shard) -> _Answer:
        machine = socket.gethostname()
        try:
            if self._encoder is None:
                self._encoder = self._load()
            encoded = encode(items, self._encoder)
        except Exception as error:  # Ray would raise a different one
            return _Answer(error, machine, traceback=traceback.format_exc())
        unseen = tuple(
            k
            for k, ((_, item), result) in enumerate(zip(items, encoded.images, strict=True))
            if isinstance(result, str) and isinstance(item.data, Path) and not _opens(item.data)
        )
        return _Answer(encoded, machine, unseen)

    def _load(self) -> ImageEncoder:
        import ray

        recipe: Recipe = ray.get(self._queue.recipe.remote())
        encoder = recipe.load()
        if "torch" in sys.modules:  # its share of the cores
            sys.modules["torch"].set_num_threads(self._threads)
        return encoder


def encode_shards(
    stream: Iterator[Shard], recipe: Recipe, workers: int | None = None
) -> Generator[tuple[Shard, Encoded], None, None]:
    """Encode shards on Ray, in order; close the generator to stop early.

    stream: read in the calling thread, at most `AHEAD` shards per worker ahead of the results. workers: see `share`.
    Each shard is returned without its images' bytes. Raises what the encoder raises, and `InvalidInputError` if the
    cluster cannot be reached or fails, or a worker's machine does not have an image file.
    """
    first = next(stream, None)
    if first is None:
        return  # no need to start Ray
    with running() as ray:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shares = share(machines, workers, recipe.device)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        queue = (
            ray.remote(_ShardQueue)
            .options(num_cpus=0, max_concurrency=1000, scheduling_strategy=here)
            .remote(recipe)
        )
        try:
            with closing(_results(ray, queue, shares)) as results:
                yield from _in_order(ray, chain([first], stream), queue, results, AHEAD * shares.count)
        except ray.exceptions.RayError as error:
            raise InvalidInputError(
                f"Ray broke off ({message_of(error, 200)}); the same command goes on where it stopped."
            ) from error
        finally:
            ray.kill(queue)


def _results(ray: Any, queue: Any, shares: Share) -> Generator[Any, None, None]:
    """Yield what the workers send back, in order."""
    import pyarrow as pa

    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1  # a row is a block, handed on at once
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    with ray.data.DataContext.current(context):
        numbers = ray.data.from_arrow(pa.table({"begin": [0]})).map_batches(
            _numbers, fn_args=(queue,), batch_size=None, num_cpus=0
        )
        answers = numbers.map_batches(
            _Worker,
            fn_constructor_args=(queue, shares.threads),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=shares.count),
            num_cpus=shares.cpus,
            num_gpus=shares.gpus,
        )
    for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from batch.to_pylist()


def _in_order(
    ray: Any, stream: Iterator[Shard], queue: Any, results: Iterator[Any], most: int
) -> Iterator[tuple[Shard, Encoded]]:
    """Queue shards, at most `most` at a time, and return each with its result."""
    under_way: deque[Shard] = deque()
    count, more = 0, True
    while True:
        while more and len(under_way) < most:
            items = next(stream, None)
            if items is None:
                ray.get(queue.complete.remote())
                more = False
                break
            ray.get(queue.put.remote(count, [ray.put([(name, _portable(item)) for name, item in items])]))
            under_way.append(
                [
                    (name, replace(item, data=None) if isinstance(item.data, bytes) else item)
                    for name, item in items
                ]
            )
            count += 1
        if not under_way:
            return
        row, expected = next(results, None), count - len(under_way)
        if row is None or row["number"] != expected:
            raise RuntimeError(f"Ray Data gave {row and row['number']}, expected shard {expected}")
        items = under_way.popleft()
        ray.get(queue.drop.remote(row["number"]))
        yield items, _checked(items, pickle.loads(row["answer"]))


def _checked(items: Shard, answer: _Answer) -> Encoded:
    if isinstance(answer.result, AttributionError):
        raise answer.result
    if isinstance(answer.result, Exception):
        raise answer.result from RuntimeError(f"on the machine '{answer.machine}':\n{answer.traceback}")
    if answer.result is None:
        raise InvalidInputError(
            f"workers died {TRIES} times over the images '{items[0][0]}' to '{items[-1][0]}'; see "
            "whether their machines have the memory for it, or encode with --engine local."
        )
    for k in answer.unseen:
        path = items[k][1].data
        if isinstance(path, Path) and _opens(path):
            raise InvalidInputError(
                f"'{path}' cannot be opened on the machine '{answer.machine}', where a worker "
                "runs; all machines must see the images at the same path. Tar shards and Parquet "
                "files need not be there: their images travel."
            )
    return answer.result


def _pickled(answer: _Answer) -> bytes:
    if isinstance(answer.result, Exception):
        try:
            pickle.loads(pickle.dumps(answer.result))
        except Exception:  # it cannot be pickled, or not back
            answer = replace(answer, result=RuntimeError(repr(answer.result)))
    return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)


def _portable(item: SourceItem) -> SourceItem:
    """Make a path absolute, since workers run in other folders."""
    return replace(item, data=item.data.absolute()) if isinstance(item.data, Path) else item


def _opens(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
