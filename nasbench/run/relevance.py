"""`nasbench leRF` on a batch: parts of images are removed in a map's order, and the score is watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench.digest import canonical_json, digest_bytes, digest_value
from nasbench.faithfulness.evaluation import Job, evaluate, terms_of
from nasbench.faithfulness.guarded import guarded
from nasbench.faithfulness.imputer import Imputer
from nasbench.faithfulness.lattice import MAX_REGIONS, subset_masks
from nasbench.faithfulness.lattice_scores import LATTICE, SAMPLED, LatticeScores, Said, reused_terms
from nasbench.faithfulness.orders import Floats, Masks, Units, patch_units, pixel_units, region_units
from nasbench.faithfulness.packed import PackedMasks
from nasbench.faithfulness.relevance import (
    CURVES,
    CurvesFound,
    RelevanceCurves,
    RelevancePlan,
    keep_equal,
)
from nasbench.faithfulness.sampled import Visits, visits
from nasbench.localize.metric import upsample
from nasbench.run.forward import bounded_logits
from nasbench.run.graph import BatchGraph
from nasbench.run.keys import SCHEMAS, numeric_versions
from nasbench.run.maps import Explained, explained, scored, unscored
from nasbench.run.plan import Cell
from nasbench.run.results import Result
from nasbench.run.truth import Truth
from nasbench.segment.scores import Score

WRONG = "the model gets the image wrong (wrong=skip)"


class Relevance:
    """`nasbench leRF`: relevance curves, or a map's place among all orders."""

    metrics: tuple[type, ...] = (RelevanceCurves, LatticeScores)

    def titles(self, metric: RelevanceCurves | LatticeScores, truth: Truth) -> Sequence[str]:
        """See `Command`."""
        return metric.titles(truth)

    def results(self, graph: BatchGraph, cell: Cell, truth: Truth) -> list[list[Result]]:
        """See `Command`."""
        asked = cell
        if cell.config["wrong"] == "prediction":  # where the model is right that is the label
            asked = replace(cell, config={**cell.config, "target": "prediction"})
        metric: RelevanceCurves | LatticeScores = graph.parts.get("metric", cell.config["metric"])
        ready: list[_Ready] = []
        places: list[_Place] = []
        found: list[list[Result]] = [[] for _ in graph.batch]
        for one in explained(graph, asked, truth):
            reason, without_meaning = _refusal(graph, cell, one)
            if not reason and one.target is not None and _can_be_removed(graph, cell, one.image):
                places.append((one.image, one.target))
            if one.map is None:
                found[one.image].append(unscored(asked, one))
            elif reason:
                failed = unscored(asked, one, reason)
                found[one.image].append(replace(failed, without_meaning=without_meaning))
            else:
                ready.append(_Ready.of(graph, cell, one))
        if isinstance(metric, RelevanceCurves):
            results = _curves(graph, asked, metric, ready, places)
        else:
            results = _lattices(graph, asked, metric, ready, places)
        for one_ready, result in zip(ready, results, strict=True):
            found[one_ready.one.image].append(result)
        return found


# An image of the batch, and the class whose score is watched.
_Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Ready:
    """A map whose image can be taken apart.

    Attributes:
        one: the explanation.
        units: what is removed as a whole.
        values: (H, W) the map on the view's grid.
        target: the class whose score is watched.
        full: (2,) terms of the untouched image.
        correct: whether the class is the network's first guess.
    """

    one: Explained
    units: Units
    values: NDArray[np.floating]
    target: int
    full: Floats
    correct: bool

    @classmethod
    def of(cls, graph: BatchGraph, cell: Cell, one: Explained) -> _Ready:
        assert one.map is not None
        assert one.target is not None
        size = graph.classifier(cell).input_size
        logits = graph.features(cell).logits[one.image]
        return cls(
            one,
            _units(graph, cell, one.image),
            one.map if one.map.shape == size else keep_equal(upsample(one.map, size), one.map),
            one.target,
            terms_of(logits[None], one.target)[0],
            int(logits.argmax()) == one.target,
        )

    @property
    def place(self) -> _Place:
        return self.one.image, self.target


def by_regions(cell: Cell) -> bool:
    """Whether a cell removes regions, not pixels or patches."""
    units, segmented = cell.config["units"], cell.choices["segmenter"] != "none"
    return units == "regions" or (units == "auto" and segmented)


def _units(graph: BatchGraph, cell: Cell, i: int) -> Units:
    size = graph.classifier(cell).input_size
    if not by_regions(cell):
        side = 1 if cell.config["units"] != "patch" else int(cell.config["patch"])
        units: Units = graph.once(
            ["units", list(size), side], lambda: pixel_units(size) if side == 1 else patch_units(size, side)
        )
        return units

    def compute() -> Units:
        labels = graph.regions(cell)[i].labels
        assert labels is not None
        return region_units(labels)

    of_regions: Units = graph.once(["units", graph.regions_key(cell), i], compute)
    return of_regions


def _refusal(graph: BatchGraph, cell: Cell, one: Explained) -> tuple[str, bool]:
    """Why a map's image is not taken apart, and whether that is no mistake."""
    logits = graph.features(cell).logits[one.image]
    if not bool(torch.isfinite(logits).all()):
        return "the network's outputs are NaN or infinite", False
    if cell.config["wrong"] == "skip" and one.target is not None and int(logits.argmax()) != one.target:
        return WRONG, True
    return "", False


def _forward(graph: BatchGraph, cell: Cell) -> Callable[[Tensor], Tensor]:
    classifier = graph.classifier(cell)

    def forward(images: Tensor) -> Tensor:
        graph.report.forwards += len(images)
        return bounded_logits(classifier, images)

    return forward


def _imputer(graph: BatchGraph, cell: Cell) -> Imputer:
    return guarded(graph.parts.get("imputer", cell.config["imputer"]))


def _empties(graph: BatchGraph, cell: Cell) -> Tensor:
    """(B, classes) logits of the batch's images removed whole: one for all methods, units and orders."""

    def compute() -> Tensor:
        imputer, forward = _imputer(graph, cell), _forward(graph, cell)
        pixels = graph.pixels(cell, graph.classifier(cell).input_size)
        whole = torch.ones((1, *pixels.shape[2:]), dtype=torch.bool)
        with graph.report.timed("removal"):
            both = zip(pixels, graph.batch, strict=True)
            gone = [imputer(image, whole, sample.id) for image, sample in both]
            return forward(torch.cat(gone)).cpu()

    key = ["empties", cell.config["imputer"], *graph.forward_key(cell)]
    empties: Tensor = graph.once(key, compute)
    return empties


def _can_be_removed(graph: BatchGraph, cell: Cell, i: int) -> bool:
    """Whether an image has units: regions may be missing."""
    return not by_regions(cell) or graph.regions(cell)[i].labels is not None


def _scored_masks(
    graph: BatchGraph, cell: Cell, places: Sequence[_Place], masks: Sequence[Masks | PackedMasks]
) -> list[Floats]:
    """Terms of each place's masks; images and steps share batches."""
    jobs = [_job(graph, cell, place, own) for place, own in zip(places, masks, strict=True)]
    with graph.report.timed("removal"):
        return evaluate(
            _forward(graph, cell), jobs, _imputer(graph, cell), max_batch=graph.settings.max_batch
        )


def _job(graph: BatchGraph, cell: Cell, place: _Place, masks: Masks | PackedMasks) -> Job:
    i, target = place
    image = graph.pixels(cell, graph.classifier(cell).input_size)[i]
    labels = torch.from_numpy(_units(graph, cell, i).labels) if by_regions(cell) else None
    return Job(image, graph.batch[i].id, target, masks, labels)


def _curves(
    graph: BatchGraph,
    cell: Cell,
    metric: RelevanceCurves,
    ready: Sequence[_Ready],
    places: Sequence[_Place],
) -> list[Result]:
    regions = by_regions(cell)
    with graph.report.timed("orders"):
        plans = [
            RelevancePlan.of_map(
                metric, one.values, one.units, graph.batch[one.one.image].id, by_regions=regions
            )
            for one in ready
        ]
    terms = _scored_masks(graph, cell, [one.place for one in ready], [plan.masks for plan in plans])
    random = _random(graph, cell, metric, places) if ready and "random" in metric.orders else {}
    results = []
    for one, plan, own in zip(ready, plans, terms, strict=True):
        empty = terms_of(_empties(graph, cell)[one.one.image][None], one.target)[0]
        try:
            found = plan.curves(metric, own, one.full, empty)
            if one.place in random:
                drawn, scored_ones = random[one.place]
                found = found.and_(drawn.curves(metric, scored_ones, one.full, empty))
            scores = _curve_scores(metric, found)
        except ValueError as error:
            results.append(replace(unscored(cell, one.one), failed=str(error)))
            continue
        results.append(_scored(graph, cell, metric, one, scores))
    return results


def _random(
    graph: BatchGraph, cell: Cell, metric: RelevanceCurves, places: Sequence[_Place]
) -> Mapping[_Place, tuple[RelevancePlan, Floats]]:
    """Random orders and their terms: one evaluation for all maps over the same units.

    Of all places, those whose map has failed too, so that no map decides what the others' passes see.
    """

    def compute() -> Mapping[_Place, tuple[RelevancePlan, Floats]]:
        regions = by_regions(cell)
        plans = [
            RelevancePlan.of_random(metric, _units(graph, cell, i), graph.batch[i].id, by_regions=regions)
            for i, _ in places
        ]
        terms = _scored_masks(graph, cell, places, [plan.masks for plan in plans])
        return dict(zip(places, zip(plans, terms, strict=True), strict=True))

    key = ["random curves", cell.config["metric"], cell.config["imputer"], *_units_key(graph, cell)]
    found: Mapping[_Place, tuple[RelevancePlan, Floats]]
    found = graph.once([*key, [list(place) for place in places]], compute)
    return found


def _units_key(graph: BatchGraph, cell: Cell) -> list[Any]:
    units = graph.regions_key(cell) if by_regions(cell) else [cell.config["units"], cell.config["patch"]]
    return [units, *graph.forward_key(cell)]


def _curve_scores(metric: RelevanceCurves, found: CurvesFound) -> list[Score]:
    scores = []
    for which in metric.orders:
        areas = found.areas(which)
        curve = found.curve(which).flat()
        scores.append(Score(CURVES[which], float(areas.mean()), "", {}, curve))
        if metric.seeds > 1 and which != "random":
            scores.append(Score(f"{CURVES[which]}_sd", float(areas.std(ddof=1)), "", {}))
    for name in metric.names:
        value = found.measure(name, metric)
        reason = "" if value is not None else "IROF is of regions, and of a score above 0"
        scores.append(Score(name, value, reason, {}))
    return [*scores, Score("full", found.full, "", {}), Score("empty", found.empty, "", {})]


def _lattices(
    graph: BatchGraph,
    cell: Cell,
    metric: LatticeScores,
    ready: Sequence[_Ready],
    places: Sequence[_Place],
) -> list[Result]:
    most = min(metric.regions, MAX_REGIONS)
    many = [place for place in places if _units(graph, cell, place[0]).count > most]
    results = []
    for one in ready:
        try:
            if one.units.count <= most:
                terms = _subsets(graph, cell, one)
                scores = _lattice_scores(metric, metric.of_subsets(terms, one.values, one.units), terms)
            else:
                scores = _sampled_scores(graph, cell, metric, one, _sampled(graph, cell, metric, many))
        except ValueError as error:
            results.append(replace(unscored(cell, one.one), failed=str(error)))
            continue
        results.append(_scored(graph, cell, metric, one, scores))
    return results


def _lattice_scores(metric: LatticeScores, said: dict[str, Said], terms: Floats) -> list[Score]:
    own = [float(value) for value in terms.ravel()]
    scores = [
        Score(LATTICE, float(len(terms)), "", {"curve": "logit and others' log-sum-exp of subsets"}, own)
    ]
    return scores + [_said(name, said[name]) for name in metric.titles() if name in said]


def _said(name: str, said: Said, **conventions: str) -> Score:
    about = {"curve": said.about} if said.about else {}
    return Score(name, said.value, said.reason, {**conventions, **about}, said.curve)


def _sampled(
    graph: BatchGraph, cell: Cell, metric: LatticeScores, places: Sequence[_Place]
) -> Mapping[_Place, tuple[Visits, Floats]]:
    """Sampled orders and the terms of the subsets they pass: as `_random`."""

    def compute() -> Mapping[_Place, tuple[Visits, Floats]]:
        drawn = [visits(metric.drawn(_units(graph, cell, i), graph.batch[i].id)) for i, _ in places]
        masks = [own.masks(np.arange(len(own.subsets))) for own in drawn]
        terms = _scored_masks(graph, cell, places, masks)
        return dict(zip(places, zip(drawn, terms, strict=True), strict=True))

    key = ["sampled orders", cell.config["metric"], cell.config["imputer"], *_units_key(graph, cell)]
    found: Mapping[_Place, tuple[Visits, Floats]]
    found = graph.once([*key, [list(place) for place in places]], compute)
    return found


def _sampled_scores(
    graph: BatchGraph,
    cell: Cell,
    metric: LatticeScores,
    one: _Ready,
    sampled: Mapping[_Place, tuple[Visits, Floats]],
) -> list[Score]:
    drawn, terms = sampled[one.place]
    own = metric.own_orders(one.values, one.units, graph.batch[one.one.image].id)
    own_terms, missing = reused_terms(own, drawn, terms)
    own_terms[missing] = _scored_masks(graph, cell, [one.place], [own.masks(missing)])[0]
    said = metric.of_samples(drawn, terms, own, own_terms)
    why = f"{one.units.count} regions: over {min(metric.regions, MAX_REGIONS)}, orders are sampled"
    names = [*SAMPLED, *(name for name in metric.titles() if name != "correct")]
    conventions = {"samples": str(metric.samples), "tie": "block; percentiles with ties parted by one lot"}
    return [_said(name, said.get(name, Said(None, why)), **conventions) for name in names]


def _subsets(graph: BatchGraph, cell: Cell, one: _Ready) -> Floats:
    """(2^K, 2) terms of all subsets of an image's regions: computed once, and kept for later runs.

    Each image has its own batches, so that what is kept does not change what the others' passes see.
    """

    def compute() -> Floats:
        kept = graph.kept("lattices", name) or {}
        # Another batch or device may have cut the image a little differently: then it is another lattice.
        if np.array_equal(kept.get("labels", ()), one.units.labels):
            return np.asarray(kept["terms"], dtype=np.float64)
        masks = subset_masks(one.units, np.arange(1 << one.units.count))
        terms = _scored_masks(graph, cell, [one.place], [masks])[0]
        about = canonical_json({**parts, "sample": sample, "target": one.target})
        labels = one.units.labels.astype(np.uint16)
        graph.keep("lattices", name, {"terms": terms, "labels": labels, "about": np.array(about)})
        return terms

    parts = {key: cell.keyed[key] for key in ("model", "view", "precision", "segmenter", "imputer", "seed")}
    # Of a user's own code that of these parts: a method of theirs changes no lattice.
    sources = {key: code for key, code in cell.keyed.get("sources", {}).items() if key in parts}
    image = digest_bytes(np.ascontiguousarray(graph.batch[one.one.image].image).tobytes())
    sample = graph.batch[one.one.image].id
    name = digest_value([parts, sources, sample, image, one.target, SCHEMAS, numeric_versions()])
    terms: Floats = graph.once(["lattice", name], compute)
    return terms


def _scored(
    graph: BatchGraph,
    cell: Cell,
    metric: RelevanceCurves | LatticeScores,
    one: _Ready,
    scores: Sequence[Score],
) -> Result:
    units = cell.config["units"] if not by_regions(cell) else "regions"
    said = {
        **metric.conventions(),
        **_imputer(graph, cell).conventions(),
        "units": {"auto": "pixel", "patch": f"patches of {cell.config['patch']}"}.get(units, units),
        "wrong": str(cell.config["wrong"]),
    }
    flat = {"fault": "constant"} if float(one.values.min()) == float(one.values.max()) else {}
    correct = Score("correct", float(one.correct), "", {})
    return scored(cell, one.one, [*scores, correct], **said, **flat)
