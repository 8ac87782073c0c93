"""What is scored once for all maps is so for those of one class and one cut of the image alone."""

from __future__ import annotations

import pytest

from tests.support.cli import tiny_explain
from tests.support.explain import TWO_CLASSES, names, rows
from tests.support.removal import tiny_lerf, undrawn  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("undrawn")

# What is scored once for all maps, by how it is asked for: the scores that must differ from class to class.
SHARED = {
    "curves": (("metric.steps=4", "metric.draws=2"), "auc_random"),
    "curves of regions": (("segmenter=grid", "segmenter.n=4", "metric.draws=2"), "auc_random"),
    "lattice": (("segmenter=grid", "segmenter.n=4", "metric=lattice"), "null_mean"),
    "sampled": (
        ("segmenter=grid", "segmenter.n=6", "metric=lattice", "metric.regions=3", "metric.samples=4"),
        "sampled_null_mean",
    ),
}
KINDS = pytest.mark.parametrize(("more", "shared"), SHARED.values(), ids=SHARED)


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "rows").iterdir()}


def by_sample(folder, metric, **wanted):
    """{sample: value} of a run of one cell, or of the class that `wanted` tells."""
    found = rows(folder, metric=metric, status="ok", **wanted)
    said = {row["sample"]: row["value"] for row in found}
    assert len(said) == len(found) > 0
    return said


def assert_cells_are_as_alone(together, alone):
    """The runs `alone` have one cell each, and the run `together` all of these and no other."""
    assert len(names(together)) == len(alone)
    for folder in alone:
        (name,) = names(folder)
        assert files(together)[name] == files(folder)[name]


def assert_differ(first, second):
    assert first.keys() == second.keys()
    for sample, value in first.items():
        assert value != pytest.approx(second[sample], rel=1e-4)


@KINDS
def test_a_class_is_scored_as_itself_beside_another(run, tmp_path, more, shared):
    args = (*more, "saliency=random", "--limit", "3")
    run(*tiny_lerf(*args, "target=0,1", "--out", "both"))
    for target in ("0", "1"):
        run(*tiny_lerf(*args, f"target={target}", "--out", target))
    assert_cells_are_as_alone(tmp_path / "both", [tmp_path / "0", tmp_path / "1"])
    assert_differ(by_sample(tmp_path / "0", shared), by_sample(tmp_path / "1", shared))


@KINDS
def test_the_classes_of_an_image_are_each_scored_as_itself(run, images, tmp_path, more, shared):
    args = (*more, "saliency=random", "metric.score=log_odds")
    run("leRF", *tiny_explain(images, *args, "target=present", "--out", "present")[1:])
    said = {}
    for target in (0, 1):
        run("leRF", *tiny_explain(images, *args, f"target={target}", "--out", str(target))[1:])
        said[target] = by_sample(tmp_path / str(target), shared)
        own = by_sample(tmp_path / "present", shared, target=target)
        assert TWO_CLASSES in own
        # Other classes of other images share the passes: no more than the last bits are of that.
        assert own == pytest.approx({sample: said[target][sample] for sample in own}, rel=1e-5)
    assert said[0][TWO_CLASSES] != pytest.approx(said[1][TWO_CLASSES], rel=1e-3)


@pytest.mark.parametrize("swept", [("units=patch", "patch=8,16"), ("units=pixel,patch", "patch=8")])
def test_units_have_random_orders_of_their_own(run, tmp_path, swept):
    args = ("saliency=random", "target=3", "metric.steps=4", "metric.draws=2", "--limit", "3")
    run(*tiny_lerf(*args, *swept, "--out", "both"))
    key, values = next(one.split("=") for one in swept if "," in one)
    (other,) = (one for one in swept if "," not in one)
    alone = []
    for value in values.split(","):
        run(*tiny_lerf(*args, other, f"{key}={value}", "--out", value))
        alone.append(tmp_path / value)
    assert_cells_are_as_alone(tmp_path / "both", alone)
    assert_differ(*(by_sample(folder, "auc_random") for folder in alone))
