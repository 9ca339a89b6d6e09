"""The engines that spread units over processes: our own on one machine, Ray Data, Daft.

Each gives the result of every unit as it is finished, in any order. Ray and Daft are imported when they are
asked for.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import IO, Any, TypeVar

from .dataset_read import said

Job = dict[str, Any]
Unit = dict[str, Any]
MOST_DEATHS = 100
F = TypeVar("F", bound=Callable[..., Any])


class WorkerFailed(RuntimeError):
    """A worker that cannot work at all: no weights, a wrong option, a full disk."""


# ---------------------------------------------------------------- this machine


class Process:
    """A worker process; a new one in its place when it dies."""

    def __init__(self, job: Job):
        self.job = job
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        path = os.pathsep.join(p or os.getcwd() for p in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wilor.dataset_work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
        )
        self.tell(self.job)
        self.hear()

    def pipes(self) -> tuple[IO[str], IO[str]]:
        """Its standard input and output; EOFError when it is gone."""
        if self.process is None or self.process.stdin is None or self.process.stdout is None:
            raise EOFError
        return self.process.stdin, self.process.stdout

    def tell(self, value: Any) -> None:
        stdin, _ = self.pipes()
        try:
            stdin.write(json.dumps(value) + "\n")
            stdin.flush()
        except OSError as e:
            raise EOFError from e

    def hear(self) -> dict[str, Any]:
        line = self.pipes()[1].readline()
        if not line.endswith("\n"):
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        if "fatal" in answer:
            raise WorkerFailed(answer["fatal"])
        return answer

    def do(self, unit: Unit) -> dict[str, Any]:
        """The unit's result, also when the process dies of it: see the journal in dataset_work.py."""
        code: int | None = None
        for _ in range(MOST_DEATHS):
            try:
                if self.process is None:
                    self.start()
                self.tell(unit)
                return self.hear()
            except EOFError:
                code = self.buried()
        raise WorkerFailed(
            f"workers died {MOST_DEATHS} times on part {unit['part']}, the last with status {code}"
        )

    def buried(self) -> int | None:
        """The status with which it ended."""
        process, self.process = self.process, None
        return None if process is None else process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def run_local(job: Job, units: list[Unit], workers: int) -> Iterator[dict[str, Any]]:
    """One thread a worker process feeds it."""
    todo: queue.SimpleQueue[Unit] = queue.SimpleQueue()
    done: queue.SimpleQueue[dict[str, Any] | Exception] = queue.SimpleQueue()
    for unit in units:
        todo.put(unit)
    processes = [Process(job) for _ in range(min(workers, len(units)))]

    def feed(process: Process) -> None:
        try:
            while True:
                done.put(process.do(todo.get_nowait()))
        except queue.Empty:
            pass
        except Exception as e:
            done.put(e)

    for process in processes:
        threading.Thread(target=feed, args=(process,), daemon=True).start()
    try:
        for _ in units:
            result = done.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        for process in processes:
            process.stop()


# ---------------------------------------------------------------- Ray and Daft


class Rows:
    """What an engine's worker does with a column of units: JSON in, JSON out. Failures are answers, too: the
    engines would show their own stack and try again."""

    def __init__(self, job: Job):
        from .dataset_work import Worker

        self.worker: Worker | None = None
        self.fatal = ""
        try:
            self.worker = Worker(job)
        except Exception as e:
            self.fatal = said(e)

    def __call__(self, units: list[str]) -> list[str]:
        return [json.dumps(self.one(json.loads(unit))) for unit in units]

    def one(self, unit: Unit) -> dict[str, Any]:
        if self.worker is None:
            return {"fatal": self.fatal}
        try:
            return self.worker(unit)
        except Exception as e:
            return {"fatal": said(e)}


def results(lines: Iterator[dict[str, str]], engine: str) -> Iterator[dict[str, Any]]:
    """The results of an engine's rows; what the engine itself throws in one line."""
    try:
        for line in lines:
            result = json.loads(line["result"])
            if "fatal" in result:
                raise WorkerFailed(result["fatal"])
            yield result
    except (WorkerFailed, GeneratorExit):
        raise
    except Exception as e:
        last = [line for line in str(e).splitlines() if line.strip()][-1:]
        raise WorkerFailed(f"{engine} gave up: {type(e).__name__}: {' '.join(last)}") from e


class RayUnits:
    """The actor of run_ray's map_batches."""

    def __init__(self, job: Job):
        self.rows = Rows(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        return {"result": self.rows(batch["unit"])}


def run_ray(job: Job, units: list[Unit], workers: int) -> Iterator[dict[str, Any]]:
    """Ray Data's actors; a cluster where RAY_ADDRESS or a running one says so, else this machine."""
    ray = need("ray", "ray[data]")
    need("ray.data", "ray[data]")
    if not ray.is_initialized():
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
        if not os.environ.get("RAY_ADDRESS"):  # workers on this machine find what this process found
            path = os.pathsep.join(p for p in sys.path if p)
            options["runtime_env"] = {"env_vars": {"PYTHONPATH": path}}
        ray.init(**options)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"unit": json.dumps(unit)} for unit in units]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(units)))
    data = data.map_batches(
        RayUnits,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=pool,
        num_cpus=processors(ray, job["cpus"]),
        num_gpus=job["gpus"] or None,
    )
    yield from results(data.iter_rows(), "ray")


def processors(ray: ModuleType, wanted: int) -> int:
    """What an actor asks for: not more than the largest host has, or it would wait for ever."""
    largest = max((int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]), default=0)
    return min(wanted, largest) if largest else wanted


def run_daft(job: Job, units: list[Unit], workers: int) -> Iterator[dict[str, Any]]:
    """Daft's class UDF, a process a worker; its runner decides where (DAFT_RUNNER=ray for a cluster)."""
    daft = need("daft", "daft")
    a_row: Callable[[F], F] = daft.method.batch(return_dtype=daft.DataType.string(), batch_size=1)

    class DaftUnits:
        def __init__(self, job: str):
            from wilor.dataset_engines import Rows

            self.rows = Rows(json.loads(job))

        @a_row
        def run(self, unit: Any) -> list[str]:
            return self.rows(unit.to_pylist())

    work = daft.cls(
        DaftUnits,
        cpus=job["cpus"],
        gpus=job["gpus"],
        use_process=True,
        max_concurrency=min(workers, len(units)),
    )
    data = daft.from_pydict({"unit": [json.dumps(unit) for unit in units]}).into_batches(1)
    data = data.select(work(json.dumps(job)).run(data["unit"]).alias("result"))
    yield from results(data.iter_rows(results_buffer_size=1), "daft")


def need(module: str, package: str) -> ModuleType:
    """An optional module, or an error that says how to get it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise ImportError(
            f"--engine {module.split('.')[0]} needs {package}, which cannot be imported ({e}): "
            f"pip install '{package}'"
        ) from e


ENGINES = {"local": run_local, "ray": run_ray, "daft": run_daft}
