"""`nasbench leRF` on a batch: parts of images are removed in a map's order, and the score is watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from nasbench.faithfulness.evaluation import terms_of
from nasbench.faithfulness.lattice_scores import LatticeScores
from nasbench.faithfulness.orders import Floats
from nasbench.faithfulness.relevance import CURVES, CurvesFound, RelevanceCurves, RelevancePlan
from nasbench.run.graph import BatchGraph
from nasbench.run.lattices import lattices
from nasbench.run.maps import Explained, explained, unscored
from nasbench.run.plan import Cell
from nasbench.run.removal import (
    Place,
    Ready,
    by_regions,
    can_be_removed,
    empties,
    removal_result,
    scored_for_all,
    scored_masks,
    units_of,
)
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
        ready: list[Ready] = []
        places: dict[Place, None] = {}  # two labels may be one class of the model
        found: list[list[Result]] = [[] for _ in graph.batch]
        for one in explained(graph, asked, truth):
            reason, without_meaning = _refusal(graph, cell, one)
            if not reason and one.target is not None and can_be_removed(graph, cell, one.image, one.target):
                places[one.image, one.target] = None
            if one.map is None:
                found[one.image].append(unscored(asked, one))
            elif reason:
                failed = unscored(asked, one, reason)
                found[one.image].append(replace(failed, without_meaning=without_meaning))
            else:
                ready.append(Ready.of(graph, cell, one))
        if isinstance(metric, RelevanceCurves):
            results = _curves(graph, asked, metric, ready, list(places))
        else:
            results = lattices(graph, asked, metric, ready, list(places))
        for one_ready, result in zip(ready, results, strict=True):
            found[one_ready.one.image].append(result)
        return found


def _refusal(graph: BatchGraph, cell: Cell, one: Explained) -> tuple[str, bool]:
    """Why a map's image is not taken apart, and whether that is no mistake."""
    logits = graph.features(cell).logits[one.image]
    if not bool(torch.isfinite(logits).all()):
        return "the network's outputs are NaN or infinite", False
    if cell.config["wrong"] == "skip" and one.target is not None and int(logits.argmax()) != one.target:
        return WRONG, True
    return "", False


def _curves(
    graph: BatchGraph,
    cell: Cell,
    metric: RelevanceCurves,
    ready: Sequence[Ready],
    places: Sequence[Place],
) -> list[Result]:
    regions = by_regions(cell)
    with graph.report.timed("orders"):
        plans = [
            RelevancePlan.of_map(
                metric, one.values, one.units, graph.batch[one.one.image].id, by_regions=regions
            )
            for one in ready
        ]
    terms = scored_masks(graph, cell, [one.place for one in ready], [plan.masks for plan in plans])
    random = _random(graph, cell, metric, places) if ready and "random" in metric.orders else {}
    results = []
    for one, plan, own in zip(ready, plans, terms, strict=True):
        empty = terms_of(empties(graph, cell)[one.one.image][None], one.target)[0]
        try:
            found = plan.curves(metric, own, one.full, empty)
            if one.place in random:
                drawn, scored_ones = random[one.place]
                found = found.and_(drawn.curves(metric, scored_ones, one.full, empty))
            scores = _curve_scores(metric, found)
        except ValueError as error:
            results.append(replace(unscored(cell, one.one), failed=str(error)))
            continue
        results.append(removal_result(graph, cell, metric, one, scores))
    return results


def _random(
    graph: BatchGraph, cell: Cell, metric: RelevanceCurves, places: Sequence[Place]
) -> Mapping[Place, tuple[RelevancePlan, Floats]]:
    """Random orders and their terms, the same for all maps over the same units."""
    regions = by_regions(cell)

    def plan(i: int) -> RelevancePlan:
        return RelevancePlan.of_random(
            metric, units_of(graph, cell, i), graph.batch[i].id, by_regions=regions
        )

    return scored_for_all(graph, cell, "random curves", places, plan, lambda one: one.masks)


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
