"""Geometry of views: the affine describes what was done to the pixels, and everything goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from nasbench.data.view import Interpolation, Resize, View, ViewSpec, make_view
from nasbench.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDES = st.one_of(st.integers(1, 40), st.sampled_from([1, 97, 500, 3000]))
IMAGE_SIZES = st.tuples(SIDES, SIDES).filter(lambda s: s[0] * s[1] <= 100_000)
SPECS = st.builds(
    ViewSpec,
    size=st.tuples(st.integers(1, 33), st.integers(1, 33)),
    resize=st.sampled_from(get_args(Resize)),
    interpolation=st.sampled_from(get_args(Interpolation)),
    crop_fraction=st.sampled_from([0.3, 0.875, 0.95, 1.0]),
)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 10_007 + width).integers(0, 256, (height, width, 3), np.uint8)


def view_of(size: tuple[int, int], spec: ViewSpec) -> View:
    return make_view(np.zeros((*size, 3), np.uint8), spec)


def slow_nearest(
    values: NDArray[Any], out_size: tuple[int, int], scale: tuple[float, float], offset: tuple[float, float]
) -> list[list[Any]]:
    """The value under each centre of the other grid, one pixel at a time; None outside."""
    out = []
    for y in range(out_size[0]):
        row = []
        for x in range(out_size[1]):
            fx, fy = scale[0] * (x + 0.5) + offset[0], scale[1] * (y + 0.5) + offset[1]
            # The epsilon lifts centres that lie on an edge over it, as the exact arithmetic does.
            i, j = int(np.floor(fy + 1e-9)), int(np.floor(fx + 1e-9))
            inside = 0 <= i < values.shape[0] and 0 <= j < values.shape[1]
            row.append(values[i, j].item() if inside else None)
        out.append(row)
    return out


class TestPixels:
    @pytest.mark.parametrize("interpolation", get_args(Interpolation))
    @pytest.mark.parametrize("resize", get_args(Resize))
    def test_an_image_at_size_is_bit_exact(self, resize: Resize, interpolation: Interpolation) -> None:
        image = noise(24, 24)
        view = make_view(image, ViewSpec((24, 24), resize, interpolation, crop_fraction=1.0))
        assert view.pixels.dtype == np.float32
        np.testing.assert_array_equal(
            view.pixels, image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        )
        assert (view.scale, view.offset) == ((1.0, 1.0), (0.0, 0.0))

    def test_bars_of_the_letterbox(self) -> None:
        view = make_view(
            np.full((10, 20, 3), 255, np.uint8), ViewSpec((20, 20), "letterbox", fill=(0, 51, 102))
        )
        np.testing.assert_array_equal(view.pixels[:, 5:15], 1.0)
        for bar in (view.pixels[:, :5], view.pixels[:, 15:]):
            np.testing.assert_allclose(bar, np.broadcast_to([[[0]], [[0.2]], [[0.4]]], bar.shape), atol=1e-7)
        assert (view.scale, view.offset) == ((1.0, 1.0), (0.0, 5.0))

    @pytest.mark.parametrize("interpolation", get_args(Interpolation))
    @pytest.mark.parametrize("size", [(375, 500), (500, 375), (227, 227), (31, 400), (1000, 333)])
    def test_crop_is_resizing_all_and_cutting(
        self, size: tuple[int, int], interpolation: Interpolation
    ) -> None:
        # The reference is written out as torchvision's Resize(73) and CenterCrop(64) do it.
        image = noise(*size)
        short, scaled = min(size), int(64 / 0.875)
        h, w = (scaled * n // short for n in size)
        resized = Image.fromarray(image).resize((w, h), Image.Resampling[interpolation.upper()])
        top, left = round((h - 64) / 2), round((w - 64) / 2)
        expected = np.asarray(resized.crop((left, top, left + 64, top + 64)))
        view = make_view(image, ViewSpec((64, 64), "crop", interpolation))
        np.testing.assert_array_equal(view.pixels, expected.transpose(2, 0, 1) / np.float32(255))
        assert view.offset == (-left, -top)

    @pytest.mark.parametrize("interpolation", get_args(Interpolation))
    @pytest.mark.parametrize("size", [(31, 400), (400, 31), (97, 64)])
    def test_crop_of_a_huge_content_is_the_same_to_two_levels(
        self, size: tuple[int, int], interpolation: Interpolation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Smooth, since in noise the overshoot of one bicubic pass is cut off before the other.
        y, x = np.indices(size)
        waves = (127.5 + 90 * np.sin(x[..., None] / [3, 5, 7]) * np.cos(y[..., None] / [4, 6, 9])).astype(
            np.uint8
        )
        image, spec = waves, ViewSpec((64, 64), "crop", interpolation)
        whole = make_view(image, spec)
        monkeypatch.setattr("nasbench.data.view._MAX_CONTENT", 0)
        part = make_view(image, spec)
        assert (part.scale, part.offset) == (whole.scale, whole.offset)
        difference = np.rint(np.abs(part.pixels - whole.pixels) * 255)
        assert difference.max() <= 2
        assert difference.mean() < 0.5

    @pytest.mark.parametrize("resize", get_args(Resize))
    @pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 3)])
    def test_extreme_shapes(self, size: tuple[int, int], resize: Resize) -> None:
        view = make_view(np.full((*size, 3), 77, np.uint8), ViewSpec((224, 160), resize, fill=(77, 77, 77)))
        assert view.pixels.shape == (3, 224, 160)
        np.testing.assert_array_equal(view.pixels, np.float32(77) / np.float32(255))

    @settings(deadline=None)
    @given(IMAGE_SIZES, SPECS)
    def test_shape_and_range(self, size: tuple[int, int], spec: ViewSpec) -> None:
        view = make_view(noise(*size), spec)
        assert view.pixels.shape == (3, *spec.size)
        assert view.size == spec.size
        assert view.image_size == size
        assert view.pixels.flags.c_contiguous
        assert view.pixels.min() >= 0
        assert view.pixels.max() <= 1


class TestAffine:
    def test_squash(self) -> None:
        view = view_of((100, 50), ViewSpec((20, 20)))
        assert (view.scale, view.offset) == ((0.4, 0.2), (0.0, 0.0))
        np.testing.assert_allclose(view.boxes_to_model([[10, 10, 50, 100]]), [[4, 2, 20, 20]])

    def test_crop(self) -> None:
        # 375 × 500: the short side becomes 256, the long one 341 (of 341.33), the offset −58 (of −58.5).
        view = view_of((375, 500), ViewSpec((224, 224), "crop"))
        assert view.scale == (341 / 500, 256 / 375)
        assert view.offset == (-58.0, -16.0)

    def test_crop_to_a_size_that_is_not_square(self) -> None:
        view = view_of((100, 100), ViewSpec((50, 100), "crop", crop_fraction=0.5))
        assert (view.scale, view.offset) == ((2.0, 2.0), (-50.0, -75.0))

    def test_letterbox(self) -> None:
        # 3 × 7 in 20 × 20: the height 8.57 becomes 9, with 5 rows above and 6 below.
        view = view_of((3, 7), ViewSpec((20, 20), "letterbox"))
        assert (view.scale, view.offset) == ((20 / 7, 3.0), (0.0, 5.0))

    @pytest.mark.parametrize("resize", get_args(Resize))
    def test_an_edge_in_the_image_lies_where_the_affine_says(self, resize: Resize) -> None:
        image = np.zeros((60, 90, 3), np.uint8)
        image[:, 37:] = 255
        view = make_view(image, ViewSpec((240, 240), resize, crop_fraction=0.5))
        edge = float(view.boxes_to_model([[37, 0, 90, 60]])[0, 0])
        row = view.pixels[0, 120].astype(np.float64)
        # Bilinear interpolation of a step is odd about it: the row's brightness sums to its bright length.
        assert row.sum() == pytest.approx(240 - edge, abs=0.05)

    @settings(deadline=None)
    @given(IMAGE_SIZES, SPECS)
    @example((1, 3000), ViewSpec((224, 224), "letterbox"))
    @example((1, 3000), ViewSpec((224, 224), "crop"))
    def test_boxes_there_and_back(self, size: tuple[int, int], spec: ViewSpec) -> None:
        view = view_of(size, spec)
        h, w = size
        boxes = np.array([[0, 0, w, h], [w / 3, h / 7, w / 2, h / 5]])
        # Subtracting a large offset costs the digits it has: hence relative to the moved coordinate.
        np.testing.assert_allclose(
            view.boxes_to_image(view.boxes_to_model(boxes)), boxes, rtol=1e-9, atol=1e-9
        )

    @settings(deadline=None)
    @given(IMAGE_SIZES, SPECS)
    def test_the_whole_image_covers_what_the_policy_promises(
        self, size: tuple[int, int], spec: ViewSpec
    ) -> None:
        view = view_of(size, spec)
        x0, y0, x1, y1 = view.boxes_to_model([[0, 0, size[1], size[0]]])[0]
        h, w = spec.size
        assert (x0, y0) == view.offset
        for start, stop, length in ((x0, x1, w), (y0, y1, h)):
            if spec.resize == "squash":
                assert (start, stop) == (0, pytest.approx(length))
            elif spec.resize == "crop":
                assert start <= 0
                assert stop >= length - 1e-9
            else:
                assert start >= 0
                assert stop <= length + 1e-9
            assert abs((start + stop) - length) <= 1 + 1e-6  # centred, to a pixel

    @settings(deadline=None)
    @given(IMAGE_SIZES, SPECS)
    def test_clipping(self, size: tuple[int, int], spec: ViewSpec) -> None:
        view = view_of(size, spec)
        huge = [[-1e6, -1e6, 1e6, 1e6]]
        np.testing.assert_array_equal(
            view.boxes_to_model(huge, clip=True), [[0, 0, spec.size[1], spec.size[0]]]
        )
        np.testing.assert_array_equal(view.boxes_to_image(huge, clip=True), [[0, 0, size[1], size[0]]])

    def test_no_boxes(self) -> None:
        assert view_of((4, 4), ViewSpec((2, 2))).boxes_to_model(np.zeros((0, 4))).shape == (0, 4)


class TestGrids:
    @settings(deadline=None)
    @given(st.tuples(st.integers(1, 12), st.integers(1, 12)), SPECS)
    def test_labels_against_the_slow_twin(self, size: tuple[int, int], spec: ViewSpec) -> None:
        view = view_of(size, spec)
        labels = np.arange(spec.size[0] * spec.size[1]).reshape(spec.size)
        expected = slow_nearest(labels, size, view.scale, view.offset)
        filled = [[-1 if v is None else v for v in row] for row in expected]
        np.testing.assert_array_equal(view.labels_to_image(labels), filled)

    @settings(deadline=None)
    @given(st.tuples(st.integers(1, 12), st.integers(1, 12)), SPECS)
    def test_masks_against_the_slow_twin(self, size: tuple[int, int], spec: ViewSpec) -> None:
        view = view_of(size, spec)
        mask = noise(*size)[..., 0] > 127
        back = (1 / view.scale[0], 1 / view.scale[1])
        start = (-view.offset[0] / view.scale[0], -view.offset[1] / view.scale[1])
        expected = slow_nearest(mask, spec.size, back, start)
        np.testing.assert_array_equal(view.mask_to_model(mask), [[bool(v) for v in row] for row in expected])

    @settings(deadline=None)
    @given(IMAGE_SIZES, SPECS)
    def test_only_a_crop_leaves_image_pixels_without_a_label(
        self, size: tuple[int, int], spec: ViewSpec
    ) -> None:
        labels = view_of(size, spec).labels_to_image(np.zeros(spec.size, np.int32))
        assert labels.shape == size
        assert labels.dtype == np.int64
        if spec.resize != "crop":
            assert (labels == 0).all()

    @settings(deadline=None)
    @given(
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.integers(1, 5),
        st.sampled_from(get_args(Resize)),
    )
    def test_masks_survive_whole_number_enlargement(
        self, size: tuple[int, int], factor: int, resize: Resize
    ) -> None:
        view = view_of(size, ViewSpec((size[0] * factor, size[1] * factor), resize, crop_fraction=1.0))
        mask = noise(*size)[..., 0] > 127
        np.testing.assert_array_equal(view.labels_to_image(view.mask_to_model(mask).astype(np.int8)), mask)

    def test_crop_marks_what_it_does_not_show(self) -> None:
        labels = view_of((4, 8), ViewSpec((4, 4), "crop", crop_fraction=1.0)).labels_to_image(
            np.zeros((4, 4), int)
        )
        np.testing.assert_array_equal(labels, np.repeat([[-1, -1, 0, 0, 0, 0, -1, -1]], 4, axis=0))

    def test_mask_is_false_on_the_bars(self) -> None:
        mask = view_of((2, 4), ViewSpec((4, 4), "letterbox")).mask_to_model(np.ones((2, 4), bool))
        np.testing.assert_array_equal(mask[:, 0], [False, True, True, False])

    def test_wrong_shapes_are_refused(self) -> None:
        view = view_of((2, 4), ViewSpec((3, 3)))
        with pytest.raises(ValueError, match=r"labels .*\(2, 4\), expected \(3, 3\)"):
            view.labels_to_image(np.zeros((2, 4), int))
        with pytest.raises(ValueError, match=r"mask .*\(3, 3\), expected \(2, 4\)"):
            view.mask_to_model(np.zeros((3, 3), bool))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"size": (0, 4)}, "size must be"),
        ({"resize": "stretch"}, "resize must be one of squash, crop, letterbox, not 'stretch'"),
        ({"interpolation": "nearest"}, "interpolation must be one of bilinear, bicubic"),
        ({"crop_fraction": 0.0}, "crop_fraction"),
        ({"crop_fraction": 1.5}, "crop_fraction"),
        ({"fill": (0, 0, 256)}, "fill"),
    ],
)
def test_bad_specs(options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(UsageError, match=fragment):
        ViewSpec(**{"size": (4, 4), **options})
