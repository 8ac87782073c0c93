"""Folders of images as users keep them, tidy or not."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from nasbench.data.folder import FolderDataset
from nasbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nasbench.data.sample import Dataset


def put_image(path: Path, colour: tuple[int, int, int] = (9, 8, 7), size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def put_mask(path: Path, rows: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, np.uint8)).save(path)


def ids(folder: Path) -> list[str]:
    return list(FolderDataset(root=str(folder)).ids())


class TestListing:
    def test_images_anywhere_but_in_masks_and_hidden(self, tmp_path: Path) -> None:
        for name in ("b.png", "x/a.JPG", "x/y/c.bmp", "masks/b.png", ".hidden.png", ".git/d.png"):
            put_image(tmp_path / name)
        (tmp_path / "notes.txt").write_text("no image")
        assert ids(tmp_path) == ["b.png", "x/a.JPG", "x/y/c.bmp"]

    def test_images_folder_takes_precedence(self, tmp_path: Path) -> None:
        put_image(tmp_path / "overview.png")
        put_image(tmp_path / "images" / "x" / "masks" / "a.png")  # only root/masks holds masks
        assert ids(tmp_path) == ["x/masks/a.png"]

    def test_a_folder_named_like_an_image_is_one_unreadable_sample(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        put_image(tmp_path / "b.jpg" / "inner.png")
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.ids() == ["a.png", "b.jpg"]
        with pytest.raises(DataError, match="a folder, not an image file"):
            dataset.load("b.jpg")
        assert dataset.digest("b.jpg") != dataset.digest("a.png")

    def test_names_are_normalised_and_found(self, tmp_path: Path) -> None:
        decomposed = unicodedata.normalize("NFD", "é.png")
        put_image(tmp_path / decomposed)
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.ids() == ["é.png"]
        assert dataset.load("é.png").image.shape == (4, 5, 3)

    def test_two_forms_of_one_name(self, tmp_path: Path) -> None:
        put_image(tmp_path / unicodedata.normalize("NFD", "é.png"))
        put_image(tmp_path / unicodedata.normalize("NFC", "é.png"))
        if len(list(tmp_path.iterdir())) == 1:
            pytest.skip("this file system normalises names")
        with pytest.raises(UsageError, match=r"differ only in their Unicode form: 'é.png'"):
            ids(tmp_path)

    def test_a_name_that_is_no_text(self, tmp_path: Path) -> None:
        try:
            with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as stream:  # noqa: PTH123 - a name of bytes
                Image.new("RGB", (1, 1)).save(stream, "PNG")
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.ids() == ["\\xff.png"]
        assert dataset.load("\\xff.png").image.shape == (1, 1, 3)

    def test_loops_of_links_end(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a" / "x.png")
        put_image(tmp_path / "b" / "y.png")
        (tmp_path / "a" / "up").symlink_to(tmp_path)
        (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
        (tmp_path / "b" / "other").symlink_to(tmp_path / "a")
        (tmp_path / "self").symlink_to(tmp_path / "self")
        assert ids(tmp_path) == ["a/x.png", "b/y.png"]

    def test_links_to_folders_elsewhere_are_followed(self, tmp_path: Path) -> None:
        put_image(tmp_path / "elsewhere" / "x.png")
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
        assert ids(tmp_path / "root") == ["link/x.png"]

    def test_a_dangling_link_is_an_unreadable_sample(self, tmp_path: Path) -> None:
        (tmp_path / "x.png").symlink_to(tmp_path / "gone.png")
        dataset = FolderDataset(root=str(tmp_path))
        with pytest.raises(DataError, match="the file is missing"):
            dataset.load("x.png")

    def test_missing_root_names_a_similar_one(self, tmp_path: Path) -> None:
        put_image(tmp_path / "Horses" / "a.png")
        with pytest.raises(UsageError) as caught:
            FolderDataset(root=str(tmp_path / "horse"))
        message = str(caught.value)
        assert message == f"no folder {str(tmp_path / 'horse')!r}; did you mean {str(tmp_path / 'Horses')!r}?"

    def test_missing_root_without_a_similar_one(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no folder '.*/nowhere/deep'$"):
            FolderDataset(root=str(tmp_path / "nowhere" / "deep"))

    def test_root_is_a_file(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        with pytest.raises(UsageError, match=r"a.png' is not a folder"):
            FolderDataset(root=str(tmp_path / "a.png"))

    def test_no_images(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("")
        with pytest.raises(UsageError, match=r"no images below '.*' \(looked for .bmp, .gif, .jpeg"):
            FolderDataset(root=str(tmp_path))


class TestMasks:
    def test_same_stem(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "x" / "a.jpg", size=(3, 2))
        put_image(tmp_path / "images" / "b.jpg", size=(3, 2))
        put_image(tmp_path / "images" / "c.jpg", size=(3, 2))
        put_mask(tmp_path / "masks" / "x" / "a.png", [[0, 1, 255], [0, 0, 0]])
        put_mask(tmp_path / "masks" / "b.BMP", [[9, 0, 0], [0, 0, 0]])
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.truth == "mask"
        mask = dataset.load("x/a.jpg").mask
        assert mask is not None
        np.testing.assert_array_equal(mask, [[False, True, True], [False, False, False]])
        other = dataset.load("b.jpg").mask
        assert other is not None
        assert other.sum() == 1
        assert dataset.load("c.jpg").mask is None

    def test_no_masks_folder(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.truth is None
        assert dataset.load("a.png").mask is None

    def test_another_size(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "a.png", size=(5, 4))
        put_mask(tmp_path / "masks" / "a.png", [[0, 1]])
        with pytest.raises(DataError, match="the mask has 2×1 pixels, its image 5×4"):
            FolderDataset(root=str(tmp_path)).load("a.png")

    def test_an_unreadable_mask(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "a.png")
        (tmp_path / "masks").mkdir()
        (tmp_path / "masks" / "a.png").write_bytes(b"")
        dataset = FolderDataset(root=str(tmp_path))
        with pytest.raises(DataError, match=r"^mask: the file is empty$"):
            dataset.load("a.png")
        assert dataset.digest("a.png")

    def test_masks_that_fit_no_image_are_an_error_of_the_call(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "a.jpg")
        put_mask(tmp_path / "masks" / "a_mask.png", [[1]])
        with pytest.raises(UsageError, match=r"no mask of any image \(expected, for example, 'a.png'\)"):
            FolderDataset(root=str(tmp_path))

    def test_unicode_forms_of_mask_and_image_may_differ(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / unicodedata.normalize("NFC", "é.jpg"), size=(1, 1))
        put_mask(tmp_path / "masks" / unicodedata.normalize("NFD", "é.png"), [[1]])
        assert FolderDataset(root=str(tmp_path)).load("é.jpg").mask is not None


class TestLabels:
    def test_first_level_folders(self, tmp_path: Path) -> None:
        for name in ("dog/a.png", "cat/b.png", "cat/deep/c.png"):
            put_image(tmp_path / "images" / name)
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.classes == ("cat", "dog")
        assert {i: dataset.load(i).labels for i in dataset.ids()} == {
            "cat/b.png": (0,),
            "cat/deep/c.png": (0,),
            "dog/a.png": (1,),
        }

    def test_one_image_outside_and_folders_are_no_classes(self, tmp_path: Path) -> None:
        put_image(tmp_path / "dog" / "a.png")
        put_image(tmp_path / "b.png")
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.classes == ()
        assert dataset.load("dog/a.png").labels == ()

    def test_csv(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "x" / "a.png")
        put_image(tmp_path / "images" / "x" / "b, c.png")
        put_image(tmp_path / "images" / "x" / "d.png")
        rows = [
            "label,note,image",
            "dog,,x/a.png",
            "cat,,./x/a.png",
            'ant,,"x/b, c.png"',
            "",
            "yak,,gone.png",
        ]
        (tmp_path / "labels.csv").write_bytes(("\ufeff" + "\r\n".join(rows)).encode())
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.classes == ("ant", "cat", "dog", "yak")
        assert dataset.load("x/a.png").labels == (1, 2)
        assert dataset.load("x/b, c.png").labels == (0,)
        assert dataset.load("x/d.png").labels == ()

    def test_given_file_wins(self, tmp_path: Path) -> None:
        put_image(tmp_path / "root" / "dog" / "a.png")
        (tmp_path / "root" / "labels.csv").write_text("image,label\ndog/a.png,one\n")
        (tmp_path / "other.csv").write_text("image,label\ndog/a.png,two\n")
        assert FolderDataset(root=str(tmp_path / "root")).classes == ("one",)
        assert FolderDataset(root=str(tmp_path / "root"), labels=str(tmp_path / "other.csv")).classes == (
            "two",
        )

    @pytest.mark.parametrize(
        ("content", "fragment"),
        [
            (b"", "line 1: no column 'image'"),
            (b"image,class\n", "line 1: no column 'label', found 'image, class'"),
            (b"image,label\na.png,dog\na.png\n", "line 3: 1 fields, but 2 in the header"),
            (b"image,label\na.png,\n", "line 2: an empty field"),
            (b"image,label\na.png,d\xff\n", "line 2: not UTF-8 text"),
            (b'image,label\na.png,"dog\n', "line 2: unexpected end of data"),
            (b"image,label\nA.png,dog\n", r"names no image of the data set \(they look like 'a.png'\)"),
        ],
    )
    def test_damaged_csv(self, tmp_path: Path, content: bytes, fragment: str) -> None:
        put_image(tmp_path / "a.png")
        (tmp_path / "labels.csv").write_bytes(content)
        with pytest.raises(UsageError, match=fragment) as caught:
            FolderDataset(root=str(tmp_path))
        assert "labels.csv" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing_csv(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        with pytest.raises(UsageError, match=r"cannot read '.*no.csv': No such file"):
            FolderDataset(root=str(tmp_path), labels=str(tmp_path / "no.csv"))


HEADER = "image,x0,y0,x1,y1\n"


class TestBoxes:
    def test_of_a_table(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png", "c.png"):
            put_image(tmp_path / name)
        (tmp_path / "boxes.csv").write_text(
            HEADER + "a.png,0,1,5,4\nabsent.png,0,0,1,1\nb.png,0.5,0,2,3\na.png, 2,2,3,3\n"
        )
        dataset = FolderDataset(root=str(tmp_path))
        assert dataset.truth == "box"
        assert dataset.load("a.png").boxes.tolist() == [[0, 1, 5, 4], [2, 2, 3, 3]]
        assert dataset.load("b.png").boxes.tolist() == [[0.5, 0, 2, 3]]
        assert dataset.load("c.png").boxes.shape == (0, 4)

    def test_around_masks(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png", "c.png"):
            put_image(tmp_path / "images" / name, size=(3, 2))
        put_mask(tmp_path / "masks" / "a.png", [[0, 1, 0], [0, 0, 1]])
        put_mask(tmp_path / "masks" / "b.png", [[0, 0, 0], [0, 0, 0]])
        assert FolderDataset(root=str(tmp_path)).load("a.png").boxes.shape == (0, 4)
        dataset = FolderDataset(root=str(tmp_path), boxes="masks")
        assert dataset.truth == "mask"
        assert dataset.load("a.png").boxes.tolist() == [[1, 0, 3, 2]]
        assert dataset.load("b.png").boxes.shape == (0, 4)
        assert dataset.load("c.png").boxes.shape == (0, 4)

    def test_a_given_table_beside_masks(self, tmp_path: Path) -> None:
        put_image(tmp_path / "images" / "a.png", size=(3, 2))
        put_mask(tmp_path / "masks" / "a.png", [[0, 1, 0], [0, 0, 1]])
        (tmp_path / "own.csv").write_text(HEADER + "a.png,0,0,1,1\n")
        dataset = FolderDataset(root=str(tmp_path), box_table=str(tmp_path / "own.csv"))
        assert dataset.truth == "mask"
        assert dataset.load("a.png").boxes.tolist() == [[0, 0, 1, 1]]

    def test_beyond_the_image_is_a_fault_of_that_image(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        put_image(tmp_path / "b.png")
        (tmp_path / "boxes.csv").write_text(HEADER + "a.png,0,0,5,4\na.png,1,0,6,4\nb.png,0,0,1,1\n")
        dataset = FolderDataset(root=str(tmp_path))
        with pytest.raises(DataError, match=r"box 2 \(1 0 6 4\) reaches beyond the 5×4 image"):
            dataset.load("a.png")
        assert len(dataset.load("b.png").boxes) == 1

    @pytest.mark.parametrize(
        ("line", "fragment"),
        [
            ("a.png,1,1,1,2", "line 2: the box 1 1 1 2 is empty, inverted or not finite"),
            ("a.png,3,1,1,2", "is empty, inverted or not finite"),
            ("a.png,0,0,nan,2", "is empty, inverted or not finite"),
            ("a.png,0,0,one,2", "line 2: '0 0 one 2' are not four numbers"),
            ("a.png,0,0,1", "line 2: 4 fields, but 5 in the header"),
            (",0,0,1,1", "line 2: an empty field"),
            ("a.png,0,0,1_0,2", "line 2: '0 0 1_0 2' are not four numbers"),
            ("a.png,0,0,٣,2", "are not four numbers"),
            ("z.png,0,0,1,1", "names no image of the data set (they look like 'a.png')"),
        ],
    )
    def test_a_damaged_table(self, tmp_path: Path, line: str, fragment: str) -> None:
        put_image(tmp_path / "a.png")
        (tmp_path / "boxes.csv").write_text(f"{HEADER}{line}\n")
        with pytest.raises(UsageError) as caught:
            FolderDataset(root=str(tmp_path))
        assert fragment in str(caught.value)
        assert "boxes.csv" in str(caught.value)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"boxes": "mask"}, "dataset.boxes=mask: choose one of table, masks, none"),
            ({"boxes": "masks"}, "dataset.boxes=masks: there is no folder"),
            ({"boxes": "masks", "box_table": "x.csv"}, "dataset.box_table is for dataset.boxes=table"),
            ({"box_table": "x.csv"}, "cannot read 'x.csv'"),
        ],
    )
    def test_misuse(self, tmp_path: Path, options: dict[str, str], said: str) -> None:
        put_image(tmp_path / "a.png")
        with pytest.raises(UsageError) as caught:
            FolderDataset(root=str(tmp_path), **options)
        assert said in str(caught.value)

    def test_another_programs_table(self, tmp_path: Path) -> None:
        put_image(tmp_path / "a.png")
        for header in ("file,xmin", "image,x0,y0,x1,y1,x0"):
            (tmp_path / "boxes.csv").write_text(f"{header}\n")
            with pytest.raises(UsageError, match="with dataset.boxes=none it is not read"):
                FolderDataset(root=str(tmp_path))
            dataset = FolderDataset(root=str(tmp_path), boxes="none")
            assert dataset.truth is None
            assert dataset.load("a.png").boxes.shape == (0, 4)

    def test_they_are_in_the_digest(self, tmp_path: Path) -> None:
        digests = []
        for line in ("", "a.png,0,0,1,1", "a.png,0,0,1,2", "b.png,0,0,1,1"):
            root = tmp_path / line.replace(",", "-")
            for name in ("a.png", "b.png"):
                put_image(root / name)
            if line:
                (root / "boxes.csv").write_text(f"{HEADER}{line}\n")
            digests.append(FolderDataset(root=str(root)).digest("a.png"))
        assert digests[0] == digests[3]
        assert len(set(digests)) == 3


class TestDigest:
    def build(self, folder: Path, *, colour: int = 1, mask: int | None = 1, label: str = "cat") -> str:
        put_image(folder / "images" / "a.png", (colour, 0, 0), size=(1, 1))
        put_image(folder / "images" / "b.png", size=(1, 1))
        put_mask(folder / "masks" / "b.png", [[1]])
        if mask is not None:
            put_mask(folder / "masks" / "a.png", [[mask]])
        (folder / "labels.csv").write_text(f"image,label\na.png,{label}\nb.png,cat\ngone.png,dog\n")
        return FolderDataset(root=str(folder)).digest("a.png")

    def test_content_decides_and_the_path_does_not(self, tmp_path: Path) -> None:
        first = self.build(tmp_path / "one")
        assert self.build(tmp_path / "two") == first
        others = [
            self.build(tmp_path / "c", colour=2),
            self.build(tmp_path / "m", mask=0),
            self.build(tmp_path / "n", mask=None),
            self.build(tmp_path / "l", label="dog"),
        ]
        assert len({first, *others}) == 5

    def test_of_files_that_vanish(self, tmp_path: Path) -> None:
        digests = []
        for name in ("one", "two"):
            put_image(tmp_path / name / "a.png")
            dataset = FolderDataset(root=str(tmp_path / name))
            whole = dataset.digest("a.png")
            (tmp_path / name / "a.png").unlink()
            digests.append(dataset.digest("a.png"))
            assert digests[-1] != whole
        assert digests[0] == digests[1]


def test_it_is_a_dataset(tmp_path: Path) -> None:
    put_image(tmp_path / "a.png")
    dataset: Dataset = FolderDataset(root=str(tmp_path))
    sample = dataset.load("a.png")
    assert sample.id == "a.png"
    assert sample.boxes.shape == (0, 4)
    np.testing.assert_array_equal(sample.image, np.broadcast_to([9, 8, 7], (4, 5, 3)))
