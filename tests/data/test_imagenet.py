"""The Kaggle layout, in small, and the real files where they are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from nasbench.data.imagenet import ImageNetDataset
from nasbench.errors import DataError, UsageError
from tests.support.realdata import realdata

if TYPE_CHECKING:
    from pathlib import Path

    from nasbench.data.sample import Dataset

TENCH, SHARK, CRANE = "n01440764", "n01484850", "n02012849"
MAPPING = f"{TENCH} tench, Tinca tinca\n{SHARK} great white shark\n{CRANE} crane\n"
FLAT = "ILSVRC/Data/CLS-LOC/val"


def put_image(path: Path, size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (1, 2, 3)).save(path)


def put_solution(folder: Path, *rows: str, split: str = "val") -> None:
    content = "\n".join(["ImageId,PredictionString", *rows, ""])
    (folder / f"LOC_{split}_solution.csv").write_text(content)


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Three images of 20 × 10: `a` with two boxes, `b` with one, `c` without a line in the table."""
    for name in "abc":
        put_image(tmp_path / FLAT / f"{name}.JPEG")
    (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)
    put_solution(
        tmp_path, f"a,{SHARK} 0 0 4 5 {SHARK} 3 2 20 10 ", f"b,{TENCH} 7 7 7 7 ", f"absent,{CRANE} 0 0 1 1 "
    )
    return tmp_path


def boxes(folder: Path, sample_id: str, convention: str = "inclusive") -> list[list[float]]:
    found: list[list[float]] = (
        ImageNetDataset(root=str(folder), boxes=convention).load(sample_id).boxes.tolist()
    )
    return found


class TestLayouts:
    def test_flat(self, kaggle: Path) -> None:
        dataset: Dataset = ImageNetDataset(root=str(kaggle))
        assert dataset.ids() == ["a", "b", "c"]
        assert dataset.classes == ("tench, Tinca tinca", "great white shark", "crane")
        assert dataset.truth == "box"
        assert [dataset.load(i).labels for i in "abc"] == [(1,), (0,), ()]
        assert dataset.load("a").image.shape == (10, 20, 3)

    def test_an_image_the_table_lacks_has_no_boxes(self, kaggle: Path) -> None:
        assert ImageNetDataset(root=str(kaggle)).load("c").boxes.shape == (0, 4)

    @pytest.mark.parametrize("prefix", ["ILSVRC/Data/CLS-LOC/train/", "train/", ""])
    @pytest.mark.parametrize("mapping", [True, False])
    def test_synset_folders(self, tmp_path: Path, prefix: str, mapping: bool) -> None:  # noqa: FBT001
        put_image(tmp_path / f"{prefix}{CRANE}" / "x.JPEG")
        put_image(tmp_path / f"{prefix}{TENCH}" / "y.jpg")
        if mapping:
            (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)
        dataset = ImageNetDataset(root=str(tmp_path), split="train")
        assert dataset.ids() == ["x", "y"]
        assert dataset.truth is None
        assert dataset.synsets == ((TENCH, SHARK, CRANE) if mapping else (TENCH, CRANE))
        assert [dataset.synsets[dataset.load(i).labels[0]] for i in "xy"] == [CRANE, TENCH]
        if not mapping:
            assert dataset.classes == dataset.synsets

    def test_synset_folders_with_a_table(self, tmp_path: Path) -> None:
        put_image(tmp_path / "val" / TENCH / "x.JPEG")
        put_image(tmp_path / "val" / CRANE / "y.JPEG")
        # Without a mapping the classes are those of the folders, whatever the absent images' synsets.
        put_solution(tmp_path, f"x,{TENCH} 1 2 3 4 ", f"absent,{SHARK} 1 2 3 4 ")
        dataset = ImageNetDataset(root=str(tmp_path))
        assert dataset.load("x").boxes.tolist() == [[1, 2, 4, 5]]
        assert dataset.load("y").labels == (1,)

    def test_flat_without_any_table(self, tmp_path: Path) -> None:
        put_image(tmp_path / FLAT / "a.JPEG")
        dataset = ImageNetDataset(root=str(tmp_path))
        assert (dataset.classes, dataset.truth, dataset.load("a").labels) == ((), None, ())

    def test_no_such_split(self, kaggle: Path) -> None:
        with pytest.raises(UsageError, match="no images of the split 'vall' below"):
            ImageNetDataset(root=str(kaggle), split="vall")

    def test_an_empty_split(self, tmp_path: Path) -> None:
        (tmp_path / FLAT).mkdir(parents=True)
        with pytest.raises(UsageError, match=r"no images below '.*CLS-LOC/val'"):
            ImageNetDataset(root=str(tmp_path))

    def test_no_such_root(self, kaggle: Path) -> None:
        kaggle.rename(kaggle.with_name("imagenet"))
        with pytest.raises(UsageError, match=r"did you mean '.*imagenet'"):
            ImageNetDataset(root=str(kaggle.with_name("imagnet")))

    def test_one_id_in_two_folders(self, tmp_path: Path) -> None:
        put_image(tmp_path / TENCH / "x.JPEG")
        put_image(tmp_path / CRANE / "x.JPEG")
        with pytest.raises(UsageError, match="two images share the id 'x'"):
            ImageNetDataset(root=str(tmp_path))


class TestBoxes:
    def test_inclusive_grows_by_one_and_is_clipped(self, kaggle: Path) -> None:
        # The second box reaches one pixel beyond the image, as some of the real files do.
        assert boxes(kaggle, "a") == [[0, 0, 5, 6], [3, 2, 20, 10]]
        assert boxes(kaggle, "b") == [[7, 7, 8, 8]]

    def test_half_open_is_taken_as_it_is(self, kaggle: Path) -> None:
        assert boxes(kaggle, "a", "half_open") == [[0, 0, 4, 5], [3, 2, 20, 10]]
        with pytest.raises(DataError, match=r"box 1 \(7 7 7 7\) covers nothing of the 20×10 image"):
            boxes(kaggle, "b", "half_open")

    def test_fractions_and_negative_corners(self, kaggle: Path) -> None:
        put_solution(kaggle, f"a,{TENCH} -3 -0.5 2.5 3.25")
        assert boxes(kaggle, "a") == [[0, 0, 3.5, 4.25]]

    def test_no_groups(self, kaggle: Path) -> None:
        put_solution(kaggle, "a,")
        sample = ImageNetDataset(root=str(kaggle)).load("a")
        assert (sample.labels, sample.boxes.shape) == ((), (0, 4))

    @pytest.mark.parametrize(
        ("box", "fragment"),
        [
            ("5 0 4 9", "box 2 (5 0 4 9) is inverted"),
            ("0 9 4 5", "box 2 (0 9 4 5) is inverted"),
            ("20 0 25 9", "box 2 (20 0 25 9) covers nothing of the 20×10 image"),
            ("-9 0 -2 9", "box 2 (-9 0 -2 9) covers nothing of the 20×10 image"),
            ("0 0 x 9", "box 2 (0 0 x 9) is not numeric"),
            ("0 0 nan 9", "box 2 (0 0 nan 9) is not finite"),
            ("0 0 inf 9", "box 2 (0 0 inf 9) is not finite"),
        ],
    )
    def test_an_invalid_box_fails_its_sample_alone(self, kaggle: Path, box: str, fragment: str) -> None:
        put_solution(kaggle, f"a,{TENCH} 0 0 1 1 {TENCH} {box}", f"b,{TENCH} 0 0 1 1")
        dataset = ImageNetDataset(root=str(kaggle))
        with pytest.raises(DataError) as caught:
            dataset.load("a")
        assert str(caught.value) == fragment
        assert dataset.digest("a")
        assert dataset.load("b").boxes.tolist() == [[0, 0, 2, 2]]

    def test_unknown_convention(self, kaggle: Path) -> None:
        with pytest.raises(UsageError, match="boxes must be one of inclusive, half_open, not 'open'"):
            ImageNetDataset(root=str(kaggle), boxes="open")


class TestDamagedTables:
    @pytest.mark.parametrize(
        ("content", "fragment"),
        [
            (b"", "line 1: no column 'ImageId'"),
            (b"ImageId,Boxes\n", "line 1: no column 'PredictionString', found 'ImageId, Boxes'"),
            (b"ImageId,PredictionString\na\n", "line 2: 1 fields, but 2 in the header"),
            (b"ImageId,PredictionString\nabsent,n1 2 3\n", "line 2: 3 words, not groups of 5"),
            (b"ImageId,PredictionString\na,n9 0 0 1 1\n", "line 2: 'n9' is no class"),
            (b"ImageId,PredictionString\na,\n\na,\n", "line 4: the image 'a' stands there twice"),
            (b"ImageId,PredictionString\n\xff,\n", "line 2: not UTF-8 text"),
        ],
    )
    def test_solution(self, kaggle: Path, content: bytes, fragment: str) -> None:
        (kaggle / "LOC_val_solution.csv").write_bytes(content)
        with pytest.raises(UsageError, match=fragment) as caught:
            ImageNetDataset(root=str(kaggle))
        assert "LOC_val_solution.csv" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "fragment"),
        [
            (f"{MAPPING}{TENCH} again\n", f"line 4: the synset '{TENCH}' stands there twice"),
            (f"{MAPPING}n09999999\n", "line 4: expected a synset, a space and names, not 'n09999999'"),
        ],
    )
    def test_mapping(self, kaggle: Path, content: str, fragment: str) -> None:
        (kaggle / "LOC_synset_mapping.txt").write_text(content)
        with pytest.raises(UsageError, match=fragment):
            ImageNetDataset(root=str(kaggle))

    def test_a_folder_the_mapping_lacks(self, tmp_path: Path) -> None:
        put_image(tmp_path / "n09999999" / "x.JPEG")
        (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)
        with pytest.raises(UsageError, match="lacks the folder 'n09999999'"):
            ImageNetDataset(root=str(tmp_path))

    def test_a_flat_split_with_boxes_needs_the_mapping(self, kaggle: Path) -> None:
        (kaggle / "LOC_synset_mapping.txt").unlink()
        with pytest.raises(UsageError, match=f"line 2: '{SHARK}' is no class"):
            ImageNetDataset(root=str(kaggle))


class TestDigest:
    def test_content_decides_and_the_layout_does_not(self, kaggle: Path) -> None:
        before = ImageNetDataset(root=str(kaggle)).digest("a")
        (kaggle / "ILSVRC").rename(kaggle / "elsewhere")
        (kaggle / "elsewhere" / "Data" / "CLS-LOC" / "val").rename(kaggle / "val")
        assert ImageNetDataset(root=str(kaggle)).digest("a") == before

    def test_what_it_depends_on(self, kaggle: Path) -> None:
        digests = {ImageNetDataset(root=str(kaggle)).digest("a")}
        digests.add(ImageNetDataset(root=str(kaggle), boxes="half_open").digest("a"))
        put_solution(kaggle, f"a,{SHARK} 0 0 4 5 {SHARK} 3 2 20 9")
        digests.add(ImageNetDataset(root=str(kaggle)).digest("a"))
        put_solution(kaggle, f"a,{TENCH} 0 0 4 5 {TENCH} 3 2 20 9")
        digests.add(ImageNetDataset(root=str(kaggle)).digest("a"))
        put_image(kaggle / FLAT / "a.JPEG", (20, 11))
        digests.add(ImageNetDataset(root=str(kaggle)).digest("a"))
        (kaggle / FLAT / "a.JPEG").write_bytes(b"")
        dataset = ImageNetDataset(root=str(kaggle))
        digests.add(dataset.digest("a"))
        assert len(digests) == 6
        with pytest.raises(DataError, match="the file is empty"):
            dataset.load("a")


@pytest.mark.realdata
def test_the_real_files() -> None:
    dataset = ImageNetDataset(root=str(realdata() / "imagenet"))
    assert len(dataset.ids()) > 100
    assert len(dataset.classes) == 1000
    assert dataset.synsets[0] == TENCH
    assert list(dataset.synsets) == sorted(dataset.synsets)
    assert dataset.truth == "box"
    touching = 0
    for sample_id in dataset.ids()[::7]:
        sample = dataset.load(sample_id)
        assert sample.image.shape == (227, 227, 3)
        assert len(sample.labels) == 1
        assert len(sample.boxes) >= 1
        x0, y0, x1, y1 = sample.boxes.T
        assert ((x0 >= 0) & (x0 < x1) & (x1 <= 227) & (y0 >= 0) & (y0 < y1) & (y1 <= 227)).all()
        touching += int(np.sum(x1 == 227))
    assert touching > 10
