"""Scenes: their checksums, what holds for each of them, and what each knob may change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.data.rendered import CLASSES, KINDS, LEVELS, SPLITS, Scene, render, scene
from nasbench.data.rendered.objects import OBJECTS, SPARES
from nasbench.data.rendered.paint import _Canvas
from nasbench.data.rendered.patterns import FREE, PATTERNS
from nasbench.digest import digest_bytes
from nasbench.errors import UsageError

CHECKSUMS = {
    (0, 2, 224): "609c853e2a6845eff17ce0c46f74ebb4",
    (1, 2, 224): "514a0146088c32f324c8df58d45f2fd2",
    (2, 2, 224): "4eb9a395b6c2d594727f03bf233a6152",
    (3, 2, 224): "173c017127d3fd3637d121c55e42035b",
    (4, 2, 224): "bf1ffbc1840efaaa5da4fa0a9bdde6cb",
    (5, 2, 224): "c0e6b79a67de17fc203691c76a28f512",
    (6, 2, 224): "03b3c46745df99cd37e9413b22f63bb7",
    (7, 2, 224): "d8dee41057cc2241b7339fd853760569",
    (8, 2, 224): "1810a7331de1ebd0094d64b69cd49037",
    (9, 2, 224): "8c6d00efe9e0a9a77724cce68c390bab",
    (10, 2, 224): "48cc26b04bdc1e7a9d9ae4f316b5bcf9",
    (11, 2, 224): "c70a6602794d0a4ba2be0a15644a7c59",
    (100, 0, 224): "87dcc1f4038f00d42859213b727a0bef",
    (101, 1, 224): "4cffe5c7404948dd2a59c5943dfc8b3b",
    (102, 3, 224): "3b06162db3b5a26242b49adc30a62a2a",
    (103, 4, 224): "3ac1093f69e1270d6f69ca3ac029b9c0",
    (5, 2, 97): "12655598a99d242a2e655f7885083904",
    (999999, 4, 64): "02d0af33087deb6aac9824f6c72eafce",
    (7, 3, 320): "725403c173f905b6b91103a96b8a10c0",
}
"""Of image and part masks, by (index, difficulty, size); a change here is a new SCHEMA of the dataset."""

BACKDROPS = "6f8bd211162bc24a249bddedd7124c1d"
"""Of one image of each kind of backdrop."""


def checksum(index: int, **knobs: Any) -> str:
    drawn = render(scene(index, **knobs))
    return digest_bytes(drawn.image.tobytes(), *(np.packbits(m).tobytes() for m in drawn.parts.values()))


@pytest.mark.parametrize(("index", "difficulty", "size"), list(CHECKSUMS))
def test_checksums_are_those_of_every_platform(index: int, difficulty: int, size: int) -> None:
    assert checksum(index, difficulty=difficulty, size=size) == CHECKSUMS[index, difficulty, size]


def test_every_kind_of_backdrop_has_its_checksum() -> None:
    found: dict[str, int] = {}
    for index in range(200):
        drawn = scene(index, difficulty=3, size=96)
        if drawn.backdrop.kind not in found:
            found[drawn.backdrop.kind] = index
    assert sorted(found) == sorted(KINDS)
    images = [render(scene(found[kind], difficulty=3, size=96)).image.tobytes() for kind in KINDS]
    assert digest_bytes(*images) == BACKDROPS


SCENES = st.builds(
    scene,
    st.integers(0, 10**6 - 1),
    split=st.sampled_from(SPLITS),
    seed=st.integers(0, 5),
    difficulty=st.integers(0, 4),
    background_bias=st.sampled_from([0.0, 0.5, 1.0]),
    size=st.sampled_from([64, 97, 224]),
)


@settings(max_examples=60, deadline=None)
@given(drawn=SCENES)
def test_mask_parts_and_box_agree(drawn: Scene) -> None:
    r = render(drawn)
    assert r.image.shape == (drawn.size, drawn.size, 3)
    assert r.image.dtype == np.uint8
    assert r.image.flags.c_contiguous
    assert tuple(r.parts) == tuple(p.name for p in OBJECTS[CLASSES[drawn.label]])
    counts = np.sum(list(r.parts.values()), axis=0)
    assert counts.max() == 1
    np.testing.assert_array_equal(counts == 1, r.mask)
    x0, y0, x1, y1 = r.box
    assert 0 <= x0 < x1 <= drawn.size
    assert 0 <= y0 < y1 <= drawn.size
    assert r.mask[y0:y1, x0:x1].sum() == r.mask.sum()
    assert all(side.any() for side in (r.mask[y0], r.mask[y1 - 1], r.mask[:, x0], r.mask[:, x1 - 1]))


@settings(max_examples=60, deadline=None)
@given(drawn=SCENES)
def test_at_least_55_percent_of_the_object_is_visible_and_all_of_it_is_in_the_image(drawn: Scene) -> None:
    whole = render(replace(drawn, occluders=()))
    assert render(drawn).mask.sum() >= 0.55 * whole.mask.sum()
    border = np.ones_like(whole.mask)
    border[1:-1, 1:-1] = False
    assert not whole.mask[border].any()


@settings(max_examples=20, deadline=None)
@given(drawn=SCENES)
def test_equal_parameters_give_equal_scenes_and_pixels(drawn: Scene) -> None:
    again = scene(
        drawn.index,
        split=drawn.split,
        seed=drawn.seed,
        difficulty=drawn.difficulty,
        background_bias=drawn.background_bias,
        size=drawn.size,
    )
    assert again == drawn
    np.testing.assert_array_equal(render(again).image, render(drawn).image)


@pytest.mark.parametrize("split", SPLITS)
def test_each_aligned_run_holds_every_class_once_in_changing_order(split: str) -> None:
    labels = np.array([scene(i, split=split, size=32, difficulty=0).label for i in range(6 * len(CLASSES))])
    runs = labels.reshape(6, len(CLASSES))
    assert (np.sort(runs, axis=1) == np.arange(len(CLASSES))).all()
    assert len({tuple(run) for run in runs.tolist()}) == 6


def test_splits_and_seeds_share_no_scene() -> None:
    images = {
        render(scene(i, split=split, seed=seed, size=48)).image.tobytes()
        for i in range(24)
        for split in SPLITS
        for seed in (0, 1)
    }
    assert len(images) == 24 * len(SPLITS) * 2


def test_there_are_at_least_ten_classes_of_several_parts_with_known_patterns() -> None:
    assert len(CLASSES) >= 10
    for parts in OBJECTS.values():
        assert len(parts) >= 4
        assert len({part.name for part in parts}) == len(parts)
        assert {part.pattern for part in parts} <= {None, *PATTERNS}
    assert set(FREE) < set(PATTERNS)
    assert {part.name for part in SPARES}.isdisjoint({"cap", "canopy", "petals", "upper_wings"})


def test_the_two_fish_differ_in_the_pattern_of_the_body_only() -> None:
    for striped, dotted in zip(OBJECTS["striped_fish"], OBJECTS["dotted_fish"], strict=True):
        assert striped.name == dotted.name
        assert striped.shape.polygons == dotted.shape.polygons
        assert (striped.pattern != dotted.pattern) == (striped.name == "body")


def test_the_two_ships_share_the_hull() -> None:
    hulls = [next(p for p in OBJECTS[name] if p.name == "hull") for name in ("sailboat", "steamer")]
    assert hulls[0] is hulls[1]


def test_difficulty_changes_what_it_names() -> None:
    levels = [[scene(i, difficulty=d, size=64) for i in range(96)] for d in range(len(LEVELS))]
    assert len({tuple(s.label for s in level) for level in levels}) == 1
    for d, level in enumerate(levels):
        spread = max(abs(s.parts[0].pose.turn) for s in level)
        assert 0.8 * LEVELS[d].turn <= spread <= LEVELS[d].turn
        assert {len(s.backdrop.clutter) for s in level} == set(
            range(LEVELS[d].clutter[0], LEVELS[d].clutter[1] + 1)
        )
        assert all(len(s.occluders) <= LEVELS[d].occluders[1] for s in level)
    shares = [np.mean([render(s).mask.mean() for s in level]) for level in levels]
    assert shares == sorted(shares, reverse=True)
    assert not any(s.occluders or s.distractors for s in levels[0])


def test_bias_changes_the_backdrops_kind_and_nothing_else() -> None:
    for index in range(40):
        free, tied = scene(index), scene(index, background_bias=1.0)
        assert tied.backdrop.kind == KINDS[tied.label % len(KINDS)]
        assert replace(free, background_bias=1.0, backdrop=tied.backdrop) == tied
        assert replace(free.backdrop, kind=tied.backdrop.kind) == tied.backdrop


@pytest.mark.parametrize(("bias", "expected"), [(0.0, 1 / 12), (0.5, 0.5 + 0.5 / 12), (1.0, 1.0)])
def test_bias_is_the_probability_that_the_backdrop_is_the_classes_own(bias: float, expected: float) -> None:
    n = 600
    hits = sum(
        s.backdrop.kind == KINDS[s.label] for s in (scene(i, background_bias=bias, size=32) for i in range(n))
    )
    # Four standard deviations of a binomial share.
    assert hits / n == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(drawn=SCENES, data=st.data())
def test_leaving_a_part_out_changes_only_its_pixels(drawn: Scene, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([part.name for part in drawn.parts]))
    full, less = render(drawn), render(drawn, without=name)
    gone = full.parts[name]
    np.testing.assert_array_equal(less.image[~gone], full.image[~gone])
    assert name not in less.parts
    for other, mask in less.parts.items():
        np.testing.assert_array_equal(mask[~gone], full.parts[other][~gone])
    np.testing.assert_array_equal(less.mask[~gone], full.mask[~gone])
    np.testing.assert_array_equal(less.mask, sum(less.parts.values(), np.zeros_like(less.mask)))


def test_leaving_a_part_out_shows_what_lies_behind_it() -> None:
    drawn = next(s for s in map(scene, range(40)) if CLASSES[s.label] == "house")
    full, less = render(drawn), render(drawn, without="window")
    seen = full.parts["window"]
    assert seen.any()
    assert less.parts["wall"][seen].all()
    assert (less.image[seen] != full.image[seen]).any(axis=1).mean() > 0.5


@settings(max_examples=30, deadline=None)
@given(drawn=SCENES, other=st.integers(0, 1000))
def test_another_background_changes_only_the_backdrop(drawn: Scene, other: int) -> None:
    canvas = _Canvas(drawn.size)
    for layer in (*drawn.distractors, *drawn.parts, *drawn.occluders):
        canvas.add(layer)
    kept = canvas.owner() > 0
    full, moved = render(drawn), render(drawn, background=other)
    np.testing.assert_array_equal(moved.image[kept], full.image[kept])
    np.testing.assert_array_equal(moved.mask, full.mask)
    assert moved.box == full.box
    for name, mask in full.parts.items():
        np.testing.assert_array_equal(moved.parts[name], mask)


def test_a_background_is_another_scenes_by_index_or_by_itself() -> None:
    drawn = scene(3)
    other = scene(8)
    assert other.backdrop.kind != drawn.backdrop.kind
    by_index, by_scene = render(drawn, background=8), render(drawn, background=other)
    np.testing.assert_array_equal(by_index.image, by_scene.image)
    assert (by_index.image != render(drawn).image).any(axis=2).mean() > 0.3
    np.testing.assert_array_equal(render(drawn, background=3).image, render(drawn).image)


def test_an_unknown_part_is_refused_with_the_valid_ones() -> None:
    drawn = next(s for s in map(scene, range(40)) if CLASSES[s.label] == "car")
    with pytest.raises(UsageError, match=r"without='sail' .* body, front_wheel, rear_wheel"):
        render(drawn, without="sail")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"split": "tset"}, "split='tset' .* train, val, test"),
        ({"difficulty": 5}, r"difficulty=5 is not an integer in 0\.\.4"),
        ({"difficulty": True}, "difficulty=True"),
        ({"difficulty": 1.0}, r"difficulty=1\.0"),
        ({"background_bias": 1.5}, r"background_bias=1\.5 is not a number in 0\.\.1"),
        ({"background_bias": float("nan")}, "background_bias=nan"),
        ({"background_bias": "half"}, "background_bias='half'"),
        ({"size": 16}, r"size=16 is not an integer in 32\.\.1024"),
        ({"seed": "0"}, "seed='0'"),
        ({"index": -1}, "index=-1"),
    ],
)
def test_a_wrong_knob_is_named_with_its_value(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        scene(**{"index": 0, **knobs})
    assert "\n" not in str(caught.value)
