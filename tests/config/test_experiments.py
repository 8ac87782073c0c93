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


def test_the_study_of_relevance_curves_has_every_map_in_every_setting():
    found = compose_run("lerf", ("experiment=lerf_study",)).cells
    settings: dict[tuple[str, str], set[str]] = {}
    for cell in found:
        chosen, node = cell["choices"], cell["config"]["segmenter"]
        settings.setdefault((chosen["segmenter"], chosen["imputer"]), set()).add(chosen["saliency"])
        if chosen["segmenter"] != "none":
            assert 8 in (node.get("k"), node.get("match")), (
                "regions of one number, of which a lattice is exact"
            )
            assert chosen["metric"] == {"dataset_mean": "lattice", "road": "curves"}[chosen["imputer"]]
    assert set(settings) == {(s, i) for s in ("none", "nas", "slic") for i in ("dataset_mean", "road")}
    assert len({frozenset(maps) for maps in settings.values()}) == 1
    assert {"random", "centre", "edges"} < settings["none", "road"]
