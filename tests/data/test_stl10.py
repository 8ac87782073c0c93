"""The binary files of STL-10, in small and damaged, and the real files where they are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from nasbench.data.stl10 import STL10Dataset
from nasbench.errors import DataError, UsageError
from tests.support.realdata import realdata

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from nasbench.data.sample import Dataset

IMAGE_BYTES = 27648


def images(n: int) -> NDArray[np.uint8]:
    """(n, 96, 96, 3), no two rows, columns or channels alike."""
    return np.random.default_rng(7).integers(0, 256, (n, 96, 96, 3), dtype=np.uint8)


def column_major(pictures: NDArray[np.uint8]) -> bytes:
    """As MATLAB writes n × 3 × 96 × 96: one byte after the other, from the definition."""
    stored = bytearray()
    for picture in pictures:
        for channel in range(3):
            for x in range(96):
                stored += picture[:, x, channel].tobytes()
    return bytes(stored)


def put_mask(path: Path, size: tuple[int, int] = (96, 96)) -> None:
    path.parent.mkdir(exist_ok=True)
    mask = Image.new("L", size, 0)
    mask.putpixel((5, 2), 255)
    mask.save(path)


@pytest.fixture
def stl(tmp_path: Path) -> Path:
    """Three test images of classes ship, bird, ship, a mask of the second; two unlabelled images."""
    (tmp_path / "test_X.bin").write_bytes(column_major(images(3)))
    (tmp_path / "test_y.bin").write_bytes(bytes([2, 1, 2]))
    (tmp_path / "unlabeled_X.bin").write_bytes(column_major(images(2)))
    (tmp_path / "class_names.txt").write_text("bird\nship\n")
    put_mask(tmp_path / "masks" / "00001_bird.png")
    return tmp_path


def test_pixels_labels_and_masks(stl: Path) -> None:
    dataset: Dataset = STL10Dataset(root=str(stl))
    assert dataset.ids() == ["test_00000", "test_00001", "test_00002"]
    assert dataset.classes == ("bird", "ship")
    assert dataset.truth == "mask"
    samples = [dataset.load(i) for i in dataset.ids()]
    np.testing.assert_array_equal([s.image for s in samples], images(3))
    assert samples[0].image.flags.c_contiguous
    assert samples[0].image.flags.writeable
    assert [s.labels for s in samples] == [(1,), (0,), (1,)]
    assert [s.mask is None for s in samples] == [True, False, True]
    mask = samples[1].mask
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[2, 5]]


def test_the_unlabelled_have_neither_labels_nor_masks(stl: Path) -> None:
    dataset = STL10Dataset(root=str(stl), split="unlabeled")
    assert dataset.truth is None
    sample = dataset.load("unlabeled_00001")
    np.testing.assert_array_equal(sample.image, images(2)[1])
    assert sample.labels == ()
    assert sample.mask is None


def test_images_alone_suffice(stl: Path) -> None:
    for name in ("test_y.bin", "class_names.txt", "masks/00001_bird.png"):
        (stl / name).unlink()
    (stl / "masks").rmdir()
    dataset = STL10Dataset(root=str(stl))
    assert dataset.classes == ()
    assert dataset.truth is None
    assert dataset.load("test_00002").labels == ()


def test_labels_without_names_are_kept(stl: Path) -> None:
    (stl / "class_names.txt").unlink()
    assert STL10Dataset(root=str(stl)).load("test_00000").labels == (1,)


def test_digest_sees_image_label_and_mask(stl: Path) -> None:
    before = STL10Dataset(root=str(stl))
    digests = [before.digest(i) for i in before.ids()]
    assert len(set(digests)) == 3
    put_mask(stl / "masks" / "00000.png")
    (stl / "test_y.bin").write_bytes(bytes([2, 1, 1]))
    (stl / "other").mkdir()
    (stl / "test_X.bin").rename(stl / "other" / "test_X.bin")
    (stl / "test_X.bin").write_bytes((stl / "other" / "test_X.bin").read_bytes())
    after = STL10Dataset(root=str(stl))
    assert [after.digest(i) == d for i, d in zip(after.ids(), digests, strict=True)] == [False, True, False]
    # The same picture in another file and at another place is the same content.
    same = STL10Dataset(root=str(stl), split="unlabeled")
    assert same.digest("unlabeled_00000") != same.digest("unlabeled_00001")


@pytest.mark.parametrize("size", [0, 1, IMAGE_BYTES - 1, 2 * IMAGE_BYTES + 5])
def test_a_file_that_ends_within_an_image_is_named(stl: Path, size: int) -> None:
    (stl / "test_X.bin").write_bytes(bytes(size))
    with pytest.raises(UsageError, match=rf"test_X.bin' has {size} bytes, not a multiple of 27648"):
        STL10Dataset(root=str(stl))


def test_a_file_cut_while_it_is_read_is_a_reason(stl: Path) -> None:
    dataset = STL10Dataset(root=str(stl))
    digest = dataset.digest("test_00001")
    content = (stl / "test_X.bin").read_bytes()
    (stl / "test_X.bin").write_bytes(content[: IMAGE_BYTES + 9])
    np.testing.assert_array_equal(dataset.load("test_00000").image, images(3)[0])
    for sample_id in ("test_00001", "test_00002"):
        with pytest.raises(DataError, match=r"^test_X.bin ends within image \d or before it$"):
            dataset.load(sample_id)
    assert dataset.digest("test_00001") != digest
    (stl / "test_X.bin").unlink()
    with pytest.raises(DataError, match="^test_X.bin cannot be read: no such file"):
        dataset.load("test_00000")
    dataset.digest("test_00000")


def test_files_that_do_not_fit_are_named(stl: Path) -> None:
    def refused(message: str, split: str = "test") -> None:
        with pytest.raises(UsageError, match=message):
            STL10Dataset(root=str(stl), split=split)

    refused("split must be one of train, test, unlabeled, not 'val'", "val")
    refused("cannot read '.*train_X.bin': No such file", "train")
    (stl / "test_y.bin").write_bytes(bytes([2, 1]))
    refused("test_y.bin' has 2 labels for 3 images")
    for wrong in (0, 3):
        (stl / "test_y.bin").write_bytes(bytes([2, wrong, 1]))
        refused(rf"test_y.bin': label {wrong} of image 1 is not in 1\.\.2")
    (stl / "test_y.bin").write_bytes(bytes([2, 2, 2]))
    refused("is named for 'bird', but image 1 is labelled 'ship'")
    (stl / "test_y.bin").write_bytes(bytes([2, 1, 2]))
    put_mask(stl / "masks" / "00001.png")
    refused("two masks of image 1")
    (stl / "masks" / "00001.png").rename(stl / "masks" / "00003.png")
    refused("00003.png' is the mask of no image")
    (stl / "masks" / "00003.png").rename(stl / "masks" / "bird.png")
    refused("bird.png' is the mask of no image")
    (stl / "masks" / "bird.png").unlink()
    (stl / "test_X.bin").unlink()
    (stl / "test_X.bin").mkdir()
    refused("test_X.bin' is not a file")


def test_a_damaged_mask_is_a_reason(stl: Path) -> None:
    dataset = STL10Dataset(root=str(stl))
    put_mask(stl / "masks" / "00001_bird.png", (95, 96))
    with pytest.raises(DataError, match="the mask has 95×96 pixels, its image 96×96"):
        dataset.load("test_00001")
    (stl / "masks" / "00001_bird.png").write_bytes(b"")
    with pytest.raises(DataError, match="mask: the file is empty"):
        dataset.load("test_00001")


@pytest.mark.realdata
def test_real_images_are_upright() -> None:
    dataset = STL10Dataset(root=str(realdata() / "stl10_binary"))
    assert len(dataset.classes) == 10
    assert dataset.truth == "mask"
    by_class = {dataset.classes[s.labels[0]]: s for s in map(dataset.load, dataset.ids())}
    assert by_class.keys() == set(dataset.classes)
    # Looked at: white truck on grass, its sky above; transposed, the sky would be on the left.
    truck = by_class["truck"].image.astype(float)
    blue = truck[..., 2] - truck[..., 0]
    assert blue[:20].mean() > blue[-20:].mean() + 40
    assert abs(blue[:, :20].mean() - blue[:, -20:].mean()) < 40
    for sample in by_class.values():
        assert sample.mask is not None
        assert 0.1 < sample.mask.mean() < 0.9


@pytest.mark.realdata
def test_real_unlabelled_images_are_pictures() -> None:
    dataset = STL10Dataset(root=str(realdata() / "stl10_binary"), split="unlabeled")
    assert len(dataset.ids()) == 246
    image = dataset.load(dataset.ids()[-1]).image.astype(float)
    # Neighbours are alike in a picture, in both directions; not so in wrongly cut bytes.
    assert np.abs(np.diff(image, axis=0)).mean() < 0.5 * image.std()
    assert np.abs(np.diff(image, axis=1)).mean() < 0.5 * image.std()
