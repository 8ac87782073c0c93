"""Clusterings of whole classes or data sets: fitted before a run's tasks where their file does not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor

from nasbench.data import Dataset, Sample
from nasbench.errors import DataError, RunError
from nasbench.run.build import Parts
from nasbench.run.device import prepared_classifier
from nasbench.run.fitted import Fit, check_fit
from nasbench.run.graph import BatchGraph
from nasbench.run.plan import Cell, Settings
from nasbench.run.task_report import TaskReport
from nasbench.segment.clustering import Clustering, write_clusterings
from nasbench.segment.nas import Nas
from nasbench.segment.stream import fit_stream


def fit_missing(
    cells: Sequence[Cell],
    samples: Callable[[Cell], Sequence[str]],
    parts: Parts,
    settings: Settings,
    progress: Callable[[str], None],
) -> TaskReport | None:
    """Fit what is missing and write it; what it cost, None where nothing was missing.

    Raises:
        RunError: no image of the run has what a clustering needs.
        OSError: the file cannot be written.
    """
    report: TaskReport | None = None
    done: set[Path] = set()
    for cell in cells:
        if cell.fit is None or not cell.fit.missing or cell.fit.path in done:
            continue
        done.add(cell.fit.path)
        if report is None:
            report = TaskReport(0, cell.choices["dataset"], 0)
        with _held(cell.fit):
            if cell.fit.path.exists():  # another run has fitted it since this one was planned
                check_fit(cell.fit)
                continue
            _fit(cell, cell.fit, samples(cell), parts, settings, report, progress)
    return report


@contextmanager
def _held(fit: Fit) -> Iterator[None]:
    """Hold the place of a file for this process, which can write there.

    Raises RunError where it cannot: before the passes over all images, not after them.
    """
    from filelock import FileLock

    trial = fit.path.with_name(f".{fit.path.name}.lock")
    try:
        fit.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(trial):
            yield
    except OSError as error:
        said = error.strerror or str(error)
        raise RunError(f"segmenter.centroids={fit.path} cannot be written: {said}") from error
    finally:
        with suppress(OSError):
            trial.unlink()


def _fit(
    cell: Cell,
    fit: Fit,
    ids: Sequence[str],
    parts: Parts,
    settings: Settings,
    report: TaskReport,
    progress: Callable[[str], None],
) -> None:
    segmenter: Nas = parts.get("segmenter", cell.config["segmenter"])
    dataset: Dataset = parts.get("dataset", cell.config["dataset"])
    progress("reading labels" if segmenter.scope == "class" else "reading images")
    groups: dict[str, list[str]] = {}
    for sample in _readable(dataset, ids):
        name = segmenter.clustering_name(sample.labels[0] if sample.labels else None)
        if name is not None:
            groups.setdefault(name, []).append(sample.id)
    if not groups:
        raise RunError(f"{fit.path}: no image has a label; segmenter.scope=class needs one")
    size = prepared_classifier(parts, cell.config, settings.device).input_size
    clusterings: dict[str, Clustering] = {}
    for number, (name, members) in enumerate(sorted(groups.items()), start=1):

        def batches(members: Sequence[str] = members) -> Iterator[tuple[Sequence[str], Sequence[Tensor]]]:
            for start in range(0, len(members), settings.max_batch):
                chunk = members[start : start + settings.max_batch]
                graph = BatchGraph(list(_readable(dataset, chunk)), parts, settings, report)
                views, features = graph.segmenter_input(cell)
                yield views.ids, segmenter.raw_stages(views, features)[0]

        def say(words: str, number: int = number) -> None:
            progress(f"clustering {number} of {len(groups)}: {words}")

        try:
            clusterings[name] = fit_stream(
                batches,
                size,
                k=segmenter.k,
                scaling=segmenter.scaling,
                weights=segmenter.stage_weights if segmenter.uses_features else None,
                max_iter=segmenter.max_iter,
                seed=segmenter.seed,
                progress=say,
            )
        except ValueError as error:  # activations that are NaN would spoil the sums of all
            raise RunError(f"segmenter.centroids={fit.path} cannot be fitted: {error}") from error
    write_clusterings(fit.path, clusterings, {"key": fit.key, "options": fit.options})


def _readable(dataset: Dataset, ids: Sequence[str]) -> Iterator[Sample]:
    """The samples that can be read; the others become failed rows when their turn comes."""
    for sample_id in ids:
        try:
            yield dataset.load(sample_id)
        except DataError:
            continue
