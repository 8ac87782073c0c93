"""Rows of `nasbench leRF` as a test makes them up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.run.test_store import row

CURVES = {"_target_": "nasbench.faithfulness.relevance.RelevanceCurves", "score": "probability"}
LATTICE = {"_target_": "nasbench.faithfulness.lattice_scores.LatticeScores", "score": "probability"}


@dataclass(frozen=True)
class Cell:
    """A cell as a report sees it; `more` are further keys of its configuration."""

    saliency: str = "cam"
    segmenter: str = "none"
    metric: dict[str, Any] = field(default_factory=lambda: CURVES)
    swept: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    model: str = "m"

    @property
    def choices(self):
        metric = "lattice" if self.metric == LATTICE else "curves"
        chosen = {"model": self.model, "dataset": "d", "saliency": self.saliency}
        return {**chosen, "segmenter": self.segmenter, "imputer": "i", "metric": metric}

    @property
    def config(self):
        plain = {"saliency": self.saliency, "segmenter": {"name": self.segmenter}, "metric": self.metric}
        return {**plain, "units": "auto", "patch": 16, **self.more}


def curve_rows(sample, lerf=0.8, morf=0.2, random=0.5, *, full=1.0, empty=0.0, **more):
    """The rows of one image whose curves are constant between a first and a last point.

    So an area is, but for the two short ends, the level in between. `more`: `target`, `correct`, `fault`,
    `failed` with `status`, `without` names of rows that have no value.
    """
    values = {
        "auc_lerf": (lerf, level(full, lerf, empty)),
        "auc_morf": (morf, level(full, morf, empty)),
        "auc_random": (random, level(full, random, empty)),
        "srg": (lerf - morf, None),
    }
    return _rows(sample, values, full, empty, more)


def lattice_rows(sample, percentile=0.9, regret=0.8, tau=0.5, *, regions=6, **more):
    """The rows of one image with a lattice; with `sampled=True` as they are of too many regions."""
    names = ("percentile_lerf", "percentile_morf", "regret_lerf", "regret_morf")
    levels = (percentile, percentile, regret, regret)
    values: dict[str, Any] = {name: (value, None) for name, value in zip(names, levels, strict=True)}
    nulls = {"null_mean": (0.5, None), "null_best": (0.9, None), "null_worst": (0.1, None)}
    values |= {"shapley_tau": (tau, None), "auc_lerf": (0.8, None), "srg": (0.4, None), **nulls}
    values["lattice"] = (2.0**regions, [0.0] * 2 ** (regions + 1))
    if more.pop("sampled", False):
        away = [name for name in values if name not in ("auc_lerf", "srg")]
        sampled = {"sampled_percentile_lerf": (percentile, None), "sampled_null_mean": (0.5, None)}
        more = {**more, "without": away, "reason": f"{regions} regions: over 10, orders are sampled"}
        values |= sampled
    return _rows(sample, values, 1.0, 0.0, {**more, "regions": regions})


def level(full, between, empty):
    """A curve x, s, x, s, ... that is at one level but at both ends."""
    return [0.0, full, 1e-9, between, 1 - 1e-9, between, 1.0, empty]


def _rows(sample, values, full, empty, more):
    values = {**values, "full": (full, None), "empty": (empty, None)}
    values["correct"] = (float(more.get("correct", 1)), None)
    said = {"fault": more["fault"]} if "fault" in more else {}
    failed, without = more.get("failed", ""), more.get("without", ())
    rows = []
    for name, (value, curve) in values.items():
        lacks = failed or name in without
        rows.append(
            row(
                sample,
                None if lacks else float(value),
                curve=None if lacks else curve,
                metric=name,
                target=more.get("target", 0),
                status=more.get("status", "error") if failed else "skipped" if lacks else "ok",
                reason=failed or (more.get("reason", "no meaning") if lacks else ""),
                n_regions=None if failed else more.get("regions"),
                conventions=json.dumps(said),
                command="lerf",
            )
        )
    return rows
