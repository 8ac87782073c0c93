"""The layout of CUB-200-2011, in small and damaged, and the real files where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from nasbench.data.cub import CUBDataset
from nasbench.errors import DataError, UsageError
from tests.support.realdata import realdata

if TYPE_CHECKING:
    from nasbench.data.sample import Dataset

GREBE, TIT = "007.Eared_Grebe", "003.Blue_Tit"
A, B, C = f"{GREBE}/Eared_Grebe_1", f"{GREBE}/Eared_Grebe_2", f"{TIT}/Blue_Tit_9"


def put_image(path: Path, size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (1, 2, 3)).save(path)


def put_greys(folder: Path, sample_id: str, greys: list[int], mode: str = "L") -> None:
    """A mask of 20 × 10 whose first row begins with these greys; the rest is 0."""
    values = np.zeros((10, 20), np.uint8)
    values[0, : len(greys)] = greys
    path = folder / "segmentations" / f"{sample_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path)


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    """Test images A and C and training image B, 20 × 10; the ids are not 1, 2, 3, as in a part of the set."""
    for sample_id in (A, B, C):
        put_image(tmp_path / "images" / f"{sample_id}.jpg")
    (tmp_path / "parts").mkdir()
    for name, lines in {
        "classes.txt": [f"7 {GREBE}", f"3 {TIT}"],
        "images.txt": [f"11 {A}.jpg", f"12 {B}.jpg", f"40 {C}.jpg"],
        "train_test_split.txt": ["11 0", "12 1", "40 0"],
        "image_class_labels.txt": ["11 7", "12 7", "40 3"],
        "bounding_boxes.txt": ["11 3.0 2.0 4.0 5.0", "12 0.0 0.0 1.0 1.0", "40 0.0 1.5 21.0 20.0"],
        "parts/parts.txt": ["1 back", "7 left eye"],
        "parts/part_locs.txt": [
            "11 1 4.0 6.0 1",
            "11 7 0.0 0.0 0",
            "12 1 1.0 1.0 1",
            "40 1 20.0 3.0 1",
            "40 7 19.5 9.0 1",
        ],
    }.items():
        (tmp_path / name).write_text("\n".join([*lines, ""]))
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def points(dataset: CUBDataset, sample_id: str) -> dict[str, list[list[int]]]:
    """(row, column) of every pixel of every part."""
    parts = dataset.load(sample_id).parts
    assert all(part.shape == (10, 20) and part.dtype == np.bool_ for part in parts.values())
    return {name: np.argwhere(part).tolist() for name, part in parts.items()}


class TestReading:
    def test_split_classes_and_labels(self, cub: Path) -> None:
        dataset: Dataset = CUBDataset(root=str(cub))
        assert dataset.ids() == [C, A]
        assert dataset.classes == (GREBE, TIT)
        assert dataset.truth == "box"
        assert [dataset.load(i).labels for i in (A, C)] == [(0,), (1,)]
        sample = dataset.load(A)
        assert (sample.id, sample.image.shape, sample.mask) == (A, (10, 20, 3), None)
        assert CUBDataset(root=str(cub), split="train").ids() == [B]

    def test_boxes_are_half_open_and_clipped(self, cub: Path) -> None:
        dataset = CUBDataset(root=str(cub))
        # Four columns from 3: 3, 4, 5, 6; five rows from 2: 2 to 6.
        assert dataset.load(A).boxes.tolist() == [[3, 2, 7, 7]]
        assert dataset.load(C).boxes.tolist() == [[0, 1.5, 20, 10]]
        only = np.zeros((10, 20), bool)
        x0, y0, x1, y1 = dataset.load(A).boxes[0].astype(int)
        only[y0:y1, x0:x1] = True
        assert only.sum() == 4 * 5

    def test_a_part_is_the_pixel_of_its_point(self, cub: Path) -> None:
        dataset = CUBDataset(root=str(cub))
        assert points(dataset, A) == {"back": [[6, 4]]}  # the eye is not visible
        assert points(dataset, C) == {"left eye": [[9, 19]]}  # the back lies outside

    def test_parts_may_be_absent(self, cub: Path) -> None:
        (cub / "parts" / "parts.txt").rename(cub / "unused.txt")
        (cub / "parts" / "part_locs.txt").unlink()
        (cub / "parts").rmdir()
        assert CUBDataset(root=str(cub)).load(A).parts == {}

    def test_a_missing_file_is_a_reason(self, cub: Path) -> None:
        (cub / "images" / f"{A}.jpg").unlink()
        dataset = CUBDataset(root=str(cub))
        assert dataset.ids() == [C, A]
        assert dataset.digest(A)
        with pytest.raises(DataError, match="^the file is missing$"):
            dataset.load(A)
        assert dataset.load(C).image.shape == (10, 20, 3)

    @pytest.mark.parametrize(
        "box", ["20.0 2.0 4.0 5.0", "3.0 2.0 0.0 5.0", "3.0 2.0 4.0 -1.0", "-9.0 2.0 9.0 5.0"]
    )
    def test_an_empty_box_fails_its_sample_alone(self, cub: Path, box: str) -> None:
        replace(cub / "bounding_boxes.txt", "11 3.0 2.0 4.0 5.0", f"11 {box}")
        dataset = CUBDataset(root=str(cub))
        shown = box.replace(".0", "")
        with pytest.raises(DataError) as caught:
            dataset.load(A)
        assert str(caught.value) == f"box ({shown}) covers nothing of the 20×10 image"
        assert dataset.load(C).boxes.shape == (1, 4)


class TestMasks:
    def test_most_annotators_decide(self, cub: Path) -> None:
        put_greys(cub, A, [0, 51, 102, 127, 128, 153, 204, 255])
        dataset = CUBDataset(root=str(cub))
        assert dataset.truth == "mask"
        mask = dataset.load(A).mask
        assert mask is not None
        assert mask.shape == (10, 20)
        assert mask.dtype == np.bool_
        assert np.argwhere(mask).tolist() == [[0, 4], [0, 5], [0, 6], [0, 7]]
        assert dataset.load(A).boxes.tolist() == [[3, 2, 7, 7]]
        assert dataset.load(C).mask is None

    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "P"])
    def test_modes(self, cub: Path, mode: str) -> None:
        put_greys(cub, A, [0, 102, 255], mode)
        mask = CUBDataset(root=str(cub)).load(A).mask
        assert mask is not None
        assert np.argwhere(mask).tolist() == [[0, 2]]

    def test_transparency_counts_for_nothing(self, cub: Path) -> None:
        put_greys(cub, A, [])
        values = np.zeros((10, 20, 2), np.uint8)
        values[0, 1] = 255, 255
        Image.fromarray(values, "LA").save(cub / "segmentations" / f"{A}.png")
        mask = CUBDataset(root=str(cub)).load(A).mask
        assert mask is not None
        assert np.argwhere(mask).tolist() == [[0, 1]]

    def test_damaged_masks_are_reasons(self, cub: Path) -> None:
        put_greys(cub, A, [255])
        dataset = CUBDataset(root=str(cub))
        path = cub / "segmentations" / f"{A}.png"

        def refused(reason: str) -> None:
            with pytest.raises(DataError) as caught:
                dataset.load(A)
            assert str(caught.value) == reason

        put_greys(cub, A, [1, 127])
        refused("mask: no pixel is brighter than 127 of 255, so there is no object")
        put_image(path)
        refused("mask: colours, not shades of grey")
        Image.new("L", (19, 10), 255).save(path)
        refused("the mask has 19×10 pixels, its image 20×10")
        path.write_bytes(b"")
        refused("mask: the file is empty")
        path.unlink()
        refused("mask: the file is missing")

    def test_masks_of_no_image_are_named(self, cub: Path) -> None:
        put_greys(cub, B, [255])
        with pytest.raises(UsageError, match=rf"segmentations' holds none of .* for example, '{C}.png'"):
            CUBDataset(root=str(cub))


class TestDamagedLists:
    @pytest.mark.parametrize(
        ("name", "old", "new", "fragment"),
        [
            ("classes.txt", f"3 {TIT}", "3", "line 2: expected <class_id> <class_name>, not '3'"),
            ("classes.txt", f"3 {TIT}", f"7 {TIT}", "line 2: the class '7' stands there twice"),
            ("classes.txt", f"3 {TIT}", f"3 {GREBE}", f"line 2: the class '{GREBE}' stands there twice"),
            ("images.txt", f"12 {B}.jpg", "12", "line 2: expected <image_id> <image_name>, not '12'"),
            ("images.txt", f"12 {B}.jpg", f"11 {B}.jpg", "line 2: the image '11' stands there twice"),
            ("images.txt", f"12 {B}.jpg", f"12 {A}.png", f"line 2: the image '{A}' stands there twice"),
            ("images.txt", f"{B}.jpg", "../x.jpg", "line 2: '../x.jpg' names no file below 'images'"),
            ("images.txt", f"{B}.jpg", "/x.jpg", "line 2: '/x.jpg' names no file below 'images'"),
            ("images.txt", f"{B}.jpg", ".", "line 2: '.' names no file below 'images'"),
            ("images.txt", f"{B}.jpg", "x\0.jpg", r"line 2: 'x\x00.jpg' names no file below 'images'"),
            ("train_test_split.txt", "12 1", "12 2", "line 2: is_training_image must be 0 or 1, not '2'"),
            (
                "train_test_split.txt",
                "12 1",
                "12",
                "line 2: expected <image_id> <is_training_image>, not '12'",
            ),
            ("train_test_split.txt", "12 1", "11 1", "line 2: the image '11' stands there twice"),
            ("train_test_split.txt", "12 1", "13 1", "line 2: the image '13' is not in images.txt"),
            ("train_test_split.txt", "12 1\n", "\n", f"split.txt' lacks the image '12' ({B}.jpg)"),
            ("image_class_labels.txt", "12 7", "12 8", "line 2: the class '8' is not in classes.txt"),
            ("image_class_labels.txt", "12 7\n", "", f"labels.txt' lacks the image '12' ({B}.jpg)"),
            (
                "bounding_boxes.txt",
                "12 0.0 0.0 1.0 1.0",
                "12 0.0 0.0 1.0",
                "line 2: expected <image_id> <x> <y> <width> <height>, not '12 0.0 0.0 1.0'",
            ),
            (
                "bounding_boxes.txt",
                "12 0.0 0.0 1.0",
                "12 0.0 a 1.0",
                "line 2: '0.0 a 1.0 1.0' is not numeric",
            ),
            (
                "bounding_boxes.txt",
                "12 0.0 0.0 1.0",
                "12 0.0 nan 1.0",
                "line 2: '0.0 nan 1.0 1.0' is not finite",
            ),
            ("bounding_boxes.txt", "12 0.0 0.0 1.0 1.0\n", "", f"boxes.txt' lacks the image '12' ({B}.jpg)"),
            ("parts/parts.txt", "7 left eye", "1 left eye", "line 2: the part '1' stands there twice"),
            ("parts/part_locs.txt", "12 1 1.0", "13 1 1.0", "line 3: the image '13' is not in images.txt"),
            ("parts/part_locs.txt", "12 1 1.0", "12 2 1.0", "line 3: the part '2' is not in parts.txt"),
            ("parts/part_locs.txt", "11 7", "11 1", "line 2: the part '1' of image '11' stands there twice"),
            ("parts/part_locs.txt", "1.0 1.0 1", "1.0 1.0 2", "line 3: visible must be 0 or 1, not '2'"),
            ("parts/part_locs.txt", "12 1 1.0", "12 1 inf", "line 3: 'inf 1.0' is not finite"),
            (
                "parts/part_locs.txt",
                "12 1 1.0",
                "12 1",
                "line 3: expected <image_id> <part_id> <x> <y> <visible>",
            ),
        ],
    )
    def test_file_and_line_are_named(self, cub: Path, name: str, old: str, new: str, fragment: str) -> None:
        replace(cub / name, old, new)
        with pytest.raises(UsageError) as caught:
            CUBDataset(root=str(cub))
        assert fragment in str(caught.value)
        assert Path(name).name in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "name",
        ["classes.txt", "images.txt", "train_test_split.txt", "bounding_boxes.txt", "parts/part_locs.txt"],
    )
    def test_a_missing_list_is_named(self, cub: Path, name: str) -> None:
        (cub / name).unlink()
        with pytest.raises(UsageError, match=f"cannot read '.*{name}': No such file"):
            CUBDataset(root=str(cub))

    def test_text_that_is_none_is_named(self, cub: Path) -> None:
        (cub / "classes.txt").write_bytes(b"7 x\n\xff\n")
        with pytest.raises(UsageError, match=r"classes.txt', line 2: not UTF-8 text"):
            CUBDataset(root=str(cub))

    def test_line_ends_and_empty_lines_do_not_matter(self, cub: Path) -> None:
        before = CUBDataset(root=str(cub))
        for path in [*cub.glob("*.txt"), *cub.glob("parts/*.txt")]:
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n\r\n"))
        after = CUBDataset(root=str(cub))
        assert after.classes == before.classes
        assert [after.digest(i) for i in after.ids()] == [before.digest(i) for i in before.ids()]

    def test_splits_that_are_not_there(self, cub: Path) -> None:
        with pytest.raises(UsageError, match="split must be one of train, test, not 'val'"):
            CUBDataset(root=str(cub), split="val")
        replace(cub / "train_test_split.txt", "12 1", "12 0")
        with pytest.raises(UsageError, match="train_test_split.txt' names no image of the split 'train'"):
            CUBDataset(root=str(cub), split="train")

    def test_folders_that_are_not_there(self, cub: Path) -> None:
        (cub / "images").rename(cub / "pictures")
        with pytest.raises(UsageError, match=rf"images' holds none of .* for example, '{C}.jpg'"):
            CUBDataset(root=str(cub))
        with pytest.raises(UsageError, match="no folder"):
            CUBDataset(root=str(cub / "nothing"))


def test_digest_sees_all_that_determines_a_sample(cub: Path) -> None:
    digests = {CUBDataset(root=str(cub)).digest(A)}
    replace(cub / "image_class_labels.txt", "11 7", "11 3")
    digests.add(CUBDataset(root=str(cub)).digest(A))
    replace(cub / "bounding_boxes.txt", "11 3.0 2.0 4.0", "11 3.0 2.0 4.5")
    digests.add(CUBDataset(root=str(cub)).digest(A))
    replace(cub / "parts" / "part_locs.txt", "11 1 4.0 6.0", "11 1 4.0 7.0")
    digests.add(CUBDataset(root=str(cub)).digest(A))
    put_greys(cub, A, [255])
    digests.add(CUBDataset(root=str(cub)).digest(A))
    put_greys(cub, A, [255, 255])
    digests.add(CUBDataset(root=str(cub)).digest(A))
    put_image(cub / "images" / f"{A}.jpg", (20, 11))
    digests.add(CUBDataset(root=str(cub)).digest(A))
    assert len(digests) == 7
    digest = CUBDataset(root=str(cub)).digest(A)
    moved = cub.rename(cub.with_name("moved"))
    replace(moved / "bounding_boxes.txt", "40 0.0", "40 1.0")  # another image's
    assert CUBDataset(root=str(moved)).digest(A) == digest


@pytest.mark.realdata
def test_the_real_files() -> None:
    dataset = CUBDataset(root=str(realdata() / "CUB_200_2011"))
    assert len(dataset.ids()) == 250
    assert dataset.truth == "box"
    assert dataset.classes[0] == "001.Black_footed_Albatross"
    labels: set[int] = set()
    names: set[str] = set()
    at_origin = 0
    for sample_id in dataset.ids():
        sample = dataset.load(sample_id)
        labels.update(sample.labels)
        assert dataset.classes[sample.labels[0]] == sample_id.split("/")[0]
        height, width = sample.image.shape[:2]
        ((x0, y0, x1, y1),) = sample.boxes.tolist()
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        at_origin += x0 == 0
        names.update(sample.parts)
        for part in sample.parts.values():
            ((row, column),) = np.argwhere(part)
            # The makers' boxes hold the bird: a point outside would betray a swapped axis.
            assert x0 <= column < x1
            assert y0 <= row < y1
    assert labels == set(range(50))
    assert at_origin == 2  # what says that pixels are counted from 0
    assert len(names) == 15
