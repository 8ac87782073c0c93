"""`nasbench leRF metric=lattice` on a batch: a map's place among all orders of an image's regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nasbench.digest import canonical_json, digest_bytes, digest_value
from nasbench.faithfulness.lattice import MAX_REGIONS, subset_masks
from nasbench.faithfulness.lattice_scores import LATTICE, SAMPLED, LatticeScores, Said, reused_terms
from nasbench.faithfulness.orders import Floats
from nasbench.faithfulness.packed import PackedMasks
from nasbench.faithfulness.sampled import Visits, visits
from nasbench.run.graph import BatchGraph
from nasbench.run.keys import SCHEMAS, numeric_versions
from nasbench.run.maps import unscored
from nasbench.run.plan import Cell
from nasbench.run.removal import Place, Ready, removal_result, scored_for_all, scored_masks, units_of
from nasbench.run.results import Result
from nasbench.segment.scores import Score


def lattices(
    graph: BatchGraph,
    cell: Cell,
    metric: LatticeScores,
    ready: Sequence[Ready],
    places: Sequence[Place],
) -> list[Result]:
    """The row of each map that is ready.

    `places` are all images and classes that some map of the same cell could have been ready for: what is
    shared is scored for all of them.
    """
    most = min(metric.regions, MAX_REGIONS)
    many = [place for place in places if units_of(graph, cell, place[0]).count > most]
    needed = any(one.units.count > most for one in ready)
    sampled = _sampled(graph, cell, metric, many) if needed else {}
    results = []
    for one in ready:
        try:
            if one.units.count <= most:
                terms = _subsets(graph, cell, one)
                scores = _lattice_scores(metric, metric.of_subsets(terms, one.values, one.units), terms)
            else:
                scores = _sampled_scores(graph, cell, metric, one, *sampled[one.place])
        except ValueError as error:
            results.append(replace(unscored(cell, one.one), failed=str(error)))
            continue
        results.append(removal_result(graph, cell, metric, one, scores))
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
    graph: BatchGraph, cell: Cell, metric: LatticeScores, places: Sequence[Place]
) -> Mapping[Place, tuple[Visits, Floats]]:
    """Sampled orders and the terms of the subsets they pass, the same for all maps over the same regions."""

    def drawn(i: int) -> Visits:
        return visits(metric.drawn(units_of(graph, cell, i), graph.batch[i].id))

    def masks(one: Visits) -> PackedMasks:
        return one.masks(np.arange(len(one.subsets)))

    return scored_for_all(graph, cell, "sampled orders", places, drawn, masks)


def _sampled_scores(
    graph: BatchGraph,
    cell: Cell,
    metric: LatticeScores,
    one: Ready,
    drawn: Visits,
    terms: Floats,
) -> list[Score]:
    own = metric.own_orders(one.values, one.units, graph.batch[one.one.image].id)
    own_terms, missing = reused_terms(own, drawn, terms)
    own_terms[missing] = scored_masks(graph, cell, [one.place], [own.masks(missing)])[0]
    said = metric.of_samples(drawn, terms, own, own_terms)
    why = f"{one.units.count} regions: over {min(metric.regions, MAX_REGIONS)}, orders are sampled"
    names = [*SAMPLED, *(name for name in metric.titles() if name != "correct")]
    conventions = {"samples": str(metric.samples), "tie": "block; percentiles with ties parted by one lot"}
    return [_said(name, said.get(name, Said(None, why)), **conventions) for name in names]


def _subsets(graph: BatchGraph, cell: Cell, one: Ready) -> Floats:
    """(2^K, 2) terms of all subsets of an image's regions: computed once, and kept for later runs.

    Each image has its own batches, so that what is kept does not change what the others' passes see.
    """

    def compute() -> Floats:
        kept = graph.kept("lattices", name) or {}
        # Another batch or device may have cut the image a little differently: then it is another lattice.
        if np.array_equal(kept.get("labels", ()), one.units.labels):
            return np.asarray(kept["terms"], dtype=np.float64)
        masks = subset_masks(one.units, np.arange(1 << one.units.count))
        terms = scored_masks(graph, cell, [one.place], [masks])[0]
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
