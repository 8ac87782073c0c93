"""The layout of BSDS500, in small and damaged, and the real files where they are at hand."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from nasbench.data.bsds500 import BSDS500Dataset
from nasbench.errors import DataError, UsageError
from tests.support.realdata import realdata

if TYPE_CHECKING:
    from pathlib import Path

    from nasbench.data.sample import Dataset

LEFT = np.repeat([[1, 1, 2, 2, 2]], 4, axis=0).astype(np.uint16)
TOP = np.repeat([[1], [1], [2], [3]], 5, axis=1).astype(np.uint16)


def put_image(path: Path, size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (1, 2, 3)).save(path)


def put_truth(
    path: Path, *segmentations: Any, name: str = "groundTruth", field: str = "Segmentation"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(segmentations)), dtype=object)
    for i, segmentation in enumerate(segmentations):
        cells[0, i] = {field: segmentation, "Boundaries": np.zeros((4, 5), dtype=np.uint8)}
    savemat(path, {name: cells}, do_compression=True)


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    """Image 12 of test with two annotators, 34 of test without any, 56 of train with one."""
    for name in ("test/12", "test/34", "train/56"):
        put_image(tmp_path / "images" / f"{name}.jpg")
    put_truth(tmp_path / "groundTruth" / "test" / "12.mat", LEFT, TOP)
    put_truth(tmp_path / "groundTruth" / "train" / "56.mat", TOP)
    (tmp_path / "images" / "test" / "Thumbs.db").write_bytes(b"x")
    return tmp_path


def test_several_annotators(bsds: Path) -> None:
    dataset: Dataset = BSDS500Dataset(root=str(bsds), split="test")
    assert dataset.ids() == ["12", "34"]
    assert dataset.truth == "segments"
    assert dataset.classes == ()
    sample = dataset.load("12")
    assert sample.image.shape == (4, 5, 3)
    assert [s.dtype for s in sample.segmentations] == [np.int32, np.int32]
    np.testing.assert_array_equal(sample.segmentations, [LEFT, TOP])
    assert sample.mask is None
    assert dataset.load("34").segmentations == ()


def test_without_a_split_all_that_is_there(bsds: Path) -> None:
    dataset = BSDS500Dataset(root=str(bsds))
    assert dataset.ids() == ["12", "34", "56"]
    np.testing.assert_array_equal(dataset.load("56").segmentations, [TOP])
    assert dataset.digest("12") == BSDS500Dataset(root=str(bsds), split="test").digest("12")


def test_the_official_archive_has_a_folder_data(bsds: Path, tmp_path: Path) -> None:
    official = tmp_path / "official"
    (official / "data").mkdir(parents=True)
    for name in ("images", "groundTruth"):
        (bsds / name).rename(official / "data" / name)
    dataset = BSDS500Dataset(root=str(official), split="test")
    assert len(dataset.load("12").segmentations) == 2


def test_images_alone_have_no_truth(tmp_path: Path) -> None:
    put_image(tmp_path / "images" / "val" / "1.jpg")
    dataset = BSDS500Dataset(root=str(tmp_path), split="val")
    assert dataset.truth is None
    assert dataset.load("1").segmentations == ()


def test_digest_sees_image_and_segmentations_and_no_path(bsds: Path, tmp_path: Path) -> None:
    before = BSDS500Dataset(root=str(bsds), split="test").digest("12")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("images", "groundTruth"):
        (bsds / name).rename(moved / name)
    dataset = BSDS500Dataset(root=str(moved), split="test")
    assert dataset.digest("12") == before
    put_truth(moved / "groundTruth" / "test" / "12.mat", LEFT)
    assert dataset.digest("12") != before
    (moved / "groundTruth" / "test" / "12.mat").unlink()
    assert dataset.digest("12") != dataset.digest("34")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "tset"}, "no split 'tset'.*it has test, train"),
        ({"root": "absent"}, "no folder"),
        ({"root": "images"}, "no folder 'images' or 'data/images' in"),
    ],
)
def test_misuse_is_named(bsds: Path, changes: dict[str, str], message: str) -> None:
    root = bsds / changes.get("root", ".")
    with pytest.raises(UsageError, match=message):
        BSDS500Dataset(root=str(root), split=changes.get("split"))


def test_layouts_that_would_be_misread_are_named(bsds: Path) -> None:
    put_image(bsds / "images" / "train" / "12.jpg")
    with pytest.raises(UsageError, match="two files share the id '12'"):
        BSDS500Dataset(root=str(bsds))
    (bsds / "groundTruth" / "test" / "12.mat").rename(bsds / "groundTruth" / "test" / "other.mat")
    with pytest.raises(UsageError, match=r"no segmentation of any image \(expected, for example, '12.mat'"):
        BSDS500Dataset(root=str(bsds), split="test")
    (bsds / "images" / "val").mkdir()
    with pytest.raises(UsageError, match="no images below"):
        BSDS500Dataset(root=str(bsds), split="val")


def reason(bsds: Path) -> str:
    dataset = BSDS500Dataset(root=str(bsds), split="test")
    assert len(dataset.digest("12")) >= 32
    with pytest.raises(DataError) as caught:
        dataset.load("12")
    assert str(bsds) not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_a_reason(bsds: Path, share: float) -> None:
    path = bsds / "groundTruth" / "test" / "12.mat"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "groundTruth: " in reason(bsds)


def test_damaged_bytes_are_a_reason_or_are_seen_by_nobody(bsds: Path) -> None:
    path = bsds / "groundTruth" / "test" / "12.mat"
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    dataset = BSDS500Dataset(root=str(bsds), split="test")
    for _ in range(60):
        damaged = bytearray(content)
        for at in rng.integers(128, len(content), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert all(s.shape == (4, 5) for s in dataset.load("12").segmentations)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ({"segmentations": [LEFT], "name": "other"}, "no cell array 'groundTruth'"),
        ({"segmentations": []}, "no cell array 'groundTruth'"),
        ({"segmentations": [LEFT], "field": "Segments"}, "annotator 1 has no field 'Segmentation'"),
        ({"segmentations": [LEFT, TOP.T]}, "segmentation 2 has 4×5 pixels, its image 5×4"),
        ({"segmentations": [LEFT, "abc"]}, "segmentation 2 is no array of numbers"),
        ({"segmentations": [LEFT - 0.5]}, "other values than whole numbers"),
        ({"segmentations": [np.full((4, 5), np.nan)]}, "other values than whole numbers"),
        ({"segmentations": [LEFT.astype(np.int64) - 2]}, "other values than whole numbers"),
        ({"segmentations": [LEFT.astype(np.int64) << 33]}, "other values than whole numbers"),
    ],
)
def test_other_content_is_a_reason(bsds: Path, truth: dict[str, Any], expected: str) -> None:
    segmentations = truth.pop("segmentations")
    put_truth(bsds / "groundTruth" / "test" / "12.mat", *segmentations, **truth)
    assert expected in reason(bsds)


def test_whole_numbers_may_be_stored_as_floats(bsds: Path) -> None:
    put_truth(bsds / "groundTruth" / "test" / "12.mat", LEFT.astype(np.float64))
    (found,) = BSDS500Dataset(root=str(bsds), split="test").load("12").segmentations
    np.testing.assert_array_equal(found, LEFT)
    assert found.dtype == np.int32


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_a_reason(bsds: Path) -> None:
    (bsds / "groundTruth" / "test" / "12.mat").chmod(0)
    assert "permission denied" in reason(bsds)


@pytest.mark.realdata
def test_real_images_and_annotators_fit() -> None:
    dataset = BSDS500Dataset(root=str(realdata() / "BSDS500"))
    assert dataset.truth == "segments"
    assert len(dataset.ids()) == len(set(dataset.ids())) >= 1
    for sample_id in dataset.ids():
        sample = dataset.load(sample_id)
        assert len(sample.segmentations) >= 4
        for segmentation in sample.segmentations:
            assert segmentation.shape == sample.image.shape[:2]
            assert segmentation.min() >= 0
            assert segmentation.max() > 0
