"""Our experiments: what they compare is compared fairly."""

from __future__ import annotations

from collections import Counter

from nasbench.config.compose import compose_run


def cells(*tokens):
    return compose_run("wsol", tokens).cells


def test_rivals_of_the_localisation_study_have_as_many_configurations():
    found = [
        cell
        for cell in cells("experiment=wsol_study")
        if cell["choices"]["saliency"] == "cam"
        and cell["config"]["segmenter"].get("source", "self") == "self"
        and cell["config"]["segmenter"].get("match") is None
    ]
    counts = Counter(cell["choices"]["segmenter"] for cell in found)
    assert counts["nas"] == counts["slic"] == counts["felzenszwalb"] == 8
    assert counts["nas_tree"] <= 8
    assert counts["none"] == 1
    for segmenter in ("nas", "slic", "felzenszwalb"):
        averaged = [len(c["config"]["over"]) for c in found if c["choices"]["segmenter"] == segmenter]
        assert 0 < sum(averaged) < 8, "averages and single ones of each"
    assert {cell["config"]["sign"] for cell in found} == {"signed"}


def test_the_headline_has_every_baseline():
    found = cells("experiment=headline")
    pairs = {(cell["choices"]["saliency"], cell["choices"]["segmenter"]) for cell in found}
    segmenters = ("none", "nas", "slic", "felzenszwalb")
    assert pairs == {
        *((saliency, segmenter) for saliency in ("cam", "centre") for segmenter in segmenters),
        ("const_box", "none"),
        ("full_box", "none"),
    }
    averaged = [cell["config"]["over"] for cell in found if cell["choices"]["segmenter"] != "none"]
    assert {len(values) for over in averaged for values in over.values()} == {4}
