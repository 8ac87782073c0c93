"""From composed cells to a plan: everything that can be found wrong is found here, before a run begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasbench.data import ViewSpec, run_order
from nasbench.digest import canonical_json, digest_value
from nasbench.errors import RunError, UsageError
from nasbench.models import Classifier
from nasbench.run.build import Parts
from nasbench.run.checks import (
    check_explanation,
    check_removal,
    check_segmenter,
    foreign_classes,
    removal_forwards,
    shares_forward,
    stored_maps,
)
from nasbench.run.classes import label_map_key
from nasbench.run.commands import check_metric, check_one_protocol
from nasbench.run.device import prepared_classifier, source_classifier
from nasbench.run.fitted import Fit, planned_fit
from nasbench.run.keys import PATH_KEYS, keyed_config, short_paths, unit_key
from nasbench.run.naming import samples_name
from nasbench.run.plan import UNIT_SAMPLES, Cell, Plan, Settings, Unit
from nasbench.run.segmentations import segmenter_nodes
from nasbench.segment.base import Activations

_PLAIN = Activations()


def make_plan(
    command: str,
    cells: Sequence[Mapping[str, Any]],
    settings: Settings,
    parts: Parts,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Load models and list samples, check every configuration, and key every unit.

    Args:
        command: the command.
        cells: composed cells: `choices`, `config`, `swept`.
        settings: how to compute.
        parts: keeps what is built, for a run in this process.
        progress: told in a few words what takes time.

    Raises:
        UsageError: a configuration that cannot be built.
        RunError: a data set without samples or with doubled ids.
    """
    swept = _with_short_paths([dict(composed["swept"]) for composed in cells])
    planner = _Planner(command, settings, parts, progress)
    planned: list[Cell] = []
    units: list[Unit] = []
    for index, composed in enumerate(cells):
        cell = planner.cell(index, composed["config"], composed["choices"], swept[index])
        samples, truth = planner.samples(cell.config, cell.choices)
        planned.append(cell)
        for block, start in enumerate(range(0, len(samples), UNIT_SAMPLES)):
            part = samples[start : start + UNIT_SAMPLES]
            # Of maps from files, those of the unit's own images: others may come later.
            stored = planner.files.get(index, {})
            content = [
                (name, digest_value([of, stored[name]]) if name in stored else of) for name, of in part
            ]
            key = unit_key(command, cell.choices, cell.keyed, content, truth)
            units.append(Unit(key, index, block, part))
    metrics = {cell.choices["metric"]: parts.get("metric", cell.config["metric"]) for cell in planned}
    check_one_protocol(command, metrics)
    return Plan(
        command,
        tuple(planned),
        tuple(units),
        settings,
        list(planner.models.values()),
        [summary for summary, _ in planner.listed.values()],
        tuple(planner.notes),
    )


Samples = tuple[tuple[tuple[str, str], ...], str | None]


@dataclass
class _Planner:
    """What planning a cell leaves for those after it.

    Attributes:
        models: description of each distinct classifier.
        listed: of each distinct data set, its summary, and its samples with the kind of its truth.
        fits: the clusterings needed, by their file.
        files: by cell, the digest of each image's stored maps.
        notes: what the user should read, without repetition.
    """

    command: str
    settings: Settings
    parts: Parts
    progress: Callable[[str], None]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed: dict[str, tuple[dict[str, Any], Samples]] = field(default_factory=dict)
    fits: dict[Path, Fit] = field(default_factory=dict)
    files: dict[int, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def cell(
        self, index: int, config: dict[str, Any], choices: dict[str, str], swept: dict[str, Any]
    ) -> Cell:
        """A cell, checked. Raises UsageError."""
        self.progress(f"loading {choices['model']}")
        classifier = prepared_classifier(self.parts, config, self.settings.device)
        described = classifier.describe()
        self.models.setdefault(canonical_json(described), described)
        try:
            ViewSpec(size=classifier.input_size, **config["view"])
        except UsageError as error:
            raise UsageError(f"view.{error}") from error
        metric = self.parts.get("metric", config["metric"])
        check_metric(self.command, choices["metric"], metric)
        if hasattr(metric, "check_view"):
            metric.check_view(config["view"]["resize"])
        if "saliency" in config:
            check_explanation(config, choices, self.parts, self.settings.device)
            if "imputer" in config:
                check_removal(config, choices, self.parts, classifier.input_size)
        elif choices["segmenter"] == "none":
            raise UsageError("segmenter=none cuts nothing; choose a segmenter")
        segmenter = self.parts.get("segmenter", config["segmenter"])
        check_segmenter(segmenter, config["segmenter"]["_target_"])
        activations: Activations = getattr(segmenter, "activations", _PLAIN)
        reader = self._reader(config, segmenter, classifier, activations)
        other = reader.describe() if activations.model is not None else None
        forwards = self._forwards(config, choices, classifier)
        if config.get("target") == "prediction" or getattr(metric, "uses_logits", False):
            forwards[_forward_name(config, _PLAIN)] = _PLAIN.passes
        keyed = keyed_config(config, described, other)
        samples, _ = self.samples(config, choices)
        if "saliency" in config:
            keyed["model"] |= label_map_key(self.parts, config, classifier.num_classes)
            self.files[index], note = stored_maps(self.parts, config, [name for name, _ in samples])
            self.notes |= {note: None} if note else {}
            note = foreign_classes(self.parts, config, choices, classifier.num_classes)
            self.notes |= {note: None} if note else {}
        classes = self.parts.get("dataset", config["dataset"]).classes
        fit = planned_fit(segmenter, keyed, samples, classes)
        if fit is not None:
            self.notes |= {fit.note: None} if fit.note else {}
            _check_one_fit(self.fits.setdefault(fit.path, fit), fit)
            keyed["segmenter"]["fit"] = fit.key
        return Cell(index, choices, config, swept, keyed, forwards, fit)

    def samples(self, config: Mapping[str, Any], choices: Mapping[str, str]) -> Samples:
        """A cell's samples as (id, content digest), and the kind of its truth. Raises RunError."""
        key = canonical_json(config["dataset"])
        if key not in self.listed:
            name = choices["dataset"]
            self.progress(f"reading {name}")
            found = _samples(self.parts, config["dataset"], name, self.settings.limit)
            summary = {"name": name, "n": len(found[0]), "digest": samples_name(found[0]), "truth": found[1]}
            self.listed[key] = (summary, found)
        return self.listed[key][1]

    def _forwards(
        self, config: dict[str, Any], choices: Mapping[str, str], classifier: Classifier
    ) -> dict[str, int]:
        """The forward passes that regions and map share, with their cost. Raises UsageError for a stage."""
        forwards = {}
        explains = "saliency" in config
        nodes = segmenter_nodes(config, choices["segmenter"]) if explains else [config["segmenter"]]
        for node in nodes:
            segmenter = self.parts.get("segmenter", node)
            activations: Activations = getattr(segmenter, "activations", _PLAIN)
            self._reader(config, segmenter, classifier, activations)
            if segmenter.uses_features:
                forwards[_forward_name(config, activations)] = activations.passes
        if explains and shares_forward(config, self.parts, self.settings.device):
            forwards[_forward_name(config, _PLAIN)] = _PLAIN.passes
        if "imputer" in config:
            forwards |= removal_forwards(config, self.parts)
        return forwards

    def _reader(
        self, config: dict[str, Any], segmenter: Any, classifier: Classifier, activations: Activations
    ) -> Classifier:
        """The network whose activations the segmenter reads, if any. Raises UsageError for its stages."""
        reader = classifier
        if segmenter.uses_features:
            reader = source_classifier(self.parts, config, activations, self.settings.device)
        if hasattr(segmenter, "check_stages"):
            segmenter.check_stages(len(reader.stage_names))
        return reader


def _forward_name(config: Mapping[str, Any], activations: Activations) -> str:
    return canonical_json([config["model"], config["view"], config["precision"], asdict(activations)])


def _check_one_fit(first: Fit, other: Fit) -> None:
    """Two cells of a run that name one file must mean the same clusterings. Raises UsageError."""
    if first.key != other.key:
        raise UsageError(
            f"segmenter.centroids={other.path}: cells of this run would fit it in different ways; "
            "give each a file of its own, in runs of their own"
        )


def _with_short_paths(swept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Swept values as a table may show them: of a path, what tells it from the others."""
    for key in {key for values in swept for key in values if key.rpartition(".")[2] in PATH_KEYS}:
        holders = [values for values in swept if isinstance(values.get(key), str)]
        for values, short in zip(holders, short_paths([values[key] for values in holders]), strict=True):
            values[key] = short
    return swept


def _samples(
    parts: Parts, node: Mapping[str, Any], name: str, limit: int | None
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    dataset = parts.get("dataset", node)
    ids = run_order(dataset.ids(), limit)
    if not ids:
        raise RunError(f"the data set {name} has no samples")
    return tuple((sample, dataset.digest(sample)) for sample in ids), dataset.truth
