"""The local engine: tasks in this process, or in a pool of spawned ones. The rows are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from nasbench.errors import RunError
from nasbench.run.build import Parts
from nasbench.run.plan import Settings, Task
from nasbench.run.store import RunFolder
from nasbench.run.task import run_task
from nasbench.run.task_report import TaskReport


def execute(
    tasks: Sequence[Task],
    folder: RunFolder,
    settings: Settings,
    parts: Parts,
    *,
    on_done: Callable[[TaskReport], None] = lambda _: None,
) -> None:
    """Run tasks; each writes its own units, so that whatever ends the run loses only those in flight.

    Raises:
        RunError: a sample failed under `on_error=fail`, or a worker was killed.
        OSError: a unit could not be written.
    """
    if not tasks:
        return
    if settings.workers == 0:
        with intra_op_threads(settings.threads):
            for task in tasks:
                on_done(run_task(task, parts, folder, settings))
        return
    _in_pool(tasks, folder, settings, on_done)


@contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """A number of threads for the operations within, and the old one after."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_pool(
    tasks: Sequence[Task], folder: RunFolder, settings: Settings, on_done: Callable[[TaskReport], None]
) -> None:
    workers = min(settings.workers, len(tasks))
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(folder.path, settings),
    )
    try:
        # Workers inherit the ignored signal: Ctrl-C reaches this process alone, which then stops them.
        with _interrupt_ignored():
            futures = [pool.submit(_run_in_worker, task) for task in tasks]
        for future in as_completed(futures):
            on_done(future.result())
    except BrokenProcessPool as error:
        raise RunError("a worker process was killed (out of memory?); finished units are kept") from error
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupt_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """What a worker process keeps from task to task."""

    folder: RunFolder
    settings: Settings
    parts: Parts


def _start_worker(path: Path, settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow_parent() -> None:
        # A killed parent leaves its workers waiting for work that never comes.
        parent.join()
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
    import torch

    torch.set_num_threads(settings.threads)
    _Worker.folder, _Worker.settings, _Worker.parts = RunFolder(path), settings, Parts()


def _run_in_worker(task: Task) -> TaskReport:
    return run_task(task, _Worker.parts, _Worker.folder, _Worker.settings)
