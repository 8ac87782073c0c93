"""Maps from files: names, bad files, geometry, the inventory and the digest."""

from __future__ import annotations

import os
import pickle
import unicodedata
import zipfile
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasbench.data.view import ViewSpec, make_view
from nasbench.errors import SaliencyError, UsageError
from nasbench.saliency.base import Batch
from nasbench.saliency.precomputed import Precomputed, digest, inventory, to_view

SIZE = (12, 16)
NO_NETWORK: Any = None


def store(folder, name, array):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, array) if path.suffix == ".npz" else np.save(path, array)
    return path


def field(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def batch(*ids, target=0):
    return Batch(ids, torch.zeros(len(ids), 3, *SIZE), torch.full((len(ids),), target))


def load(folder, sample_id="a.jpg", target=0):
    return Precomputed(path=str(folder)).load(sample_id, target)


# Names


@pytest.mark.parametrize(
    ("sample_id", "name"),
    [
        ("a.jpg", "a.jpg.npy"),
        ("a.jpg", "a.npy"),
        ("a.jpg", "a.npz"),
        ("a.jpg", "a.jpg.NPY"),
        ("a.jpg", "a__3.npy"),
        ("a.jpg", "a.jpg__3.npz"),
        ("n01/a.jpg", "n01/a.npy"),
        ("n01/a.jpg", "n01/a.jpg__3.npy"),
        ("ILSVRC2012_val_00000001", "ILSVRC2012_val_00000001.npy"),
        ("v1.2/scan", "v1.2/scan.npy"),
        ("a__7.jpg", "a__7.npy"),
        (unicodedata.normalize("NFC", "café.png"), unicodedata.normalize("NFD", "café.npy")),
    ],
)
def test_the_names_of_a_map(tmp_path, sample_id, name):
    wanted = field(4, 5)
    store(tmp_path, name if not name.endswith("NPY") else "x.npy", wanted)
    if name.endswith("NPY"):
        (tmp_path / "x.npy").rename(tmp_path / name)
    store(tmp_path, "other.npy", field(4, 5, seed=1))
    assert np.array_equal(load(tmp_path, sample_id, 3).numpy(), wanted)
    found = inventory(tmp_path, [sample_id])
    assert found.matched == {sample_id: (name,)}
    assert found.unused == ("other.npy",)


@pytest.mark.parametrize("name", ["a__3.npy", "a__03.npy", "b/a.npy", ".a.npy", "A.npy", "a.txt", "a_3.npy"])
def test_what_is_no_map_of_class_4(tmp_path, name):
    (tmp_path / "x.npy").parent.mkdir(exist_ok=True)
    store(tmp_path, "x.npy", field(2, 2))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "x.npy").rename(tmp_path / name)
    with pytest.raises(SaliencyError, match=r"no map: neither 'a.jpg.npy' nor 'a.jpg__4.npy'"):
        load(tmp_path, "a.jpg", 4)


def test_each_class_has_its_own_file(tmp_path):
    for number in (0, 3, 12):
        store(tmp_path, f"a__{number}.npy", np.full((2, 2), number))
    assert [float(load(tmp_path, target=c)[0, 0]) for c in (0, 3, 12)] == [0, 3, 12]
    assert inventory(tmp_path, ["a.jpg"]).matched == {"a.jpg": ("a__0.npy", "a__12.npy", "a__3.npy")}


DOUBLED = [
    ("a.npy", "a.jpg.npy"),
    ("a.npy", "a.npz"),
    ("a__3.npy", "a.jpg__3.npy"),
    ("a.npy", "a__3.npy"),
]


@pytest.mark.parametrize("names", DOUBLED)
def test_ambiguous_files_are_refused(tmp_path, names):
    for name in names:
        store(tmp_path, name, field(2, 2))
    with pytest.raises(SaliencyError, match="several maps: .*; keep one for each class"):
        load(tmp_path, target=3)
    found = inventory(tmp_path, ["a.jpg"])
    assert found.doubled == (("a.jpg", tuple(sorted(names))),)
    assert not found.matched
    assert not found.unused


@pytest.mark.parametrize(("ids", "name"), [(("a.jpg", "a.png"), "a.npy"), (("a", "a__3"), "a__3.npy")])
def test_a_file_that_fits_two_images_is_doubled(tmp_path, ids, name):
    store(tmp_path, name, field(2, 2))
    assert inventory(tmp_path, ids).doubled == tuple((sample, (name,)) for sample in ids)


def test_links_are_followed_and_their_loops_end(tmp_path):
    maps, elsewhere = tmp_path / "maps", tmp_path / "elsewhere"
    store(elsewhere, "a.npy", field(2, 2))
    maps.mkdir()
    (maps / "n01").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(maps)
    (maps / "broken.npy").symlink_to(tmp_path / "nowhere")
    assert load(maps, "n01/a.jpg").shape == (2, 2)
    os.mkfifo(maps / "pipe.npy")
    assert inventory(maps, ["n01/a.jpg", "pipe", "broken"]).missing == ("pipe", "broken")


# Contents


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int16", "uint8", "bool"])
def test_real_numbers_of_any_type(tmp_path, dtype):
    wanted = (field(3, 4) > 0).astype(dtype)
    store(tmp_path, "a.npy", wanted)
    found = load(tmp_path)
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), wanted.astype(np.float32))


def test_layouts_of_one_channel(tmp_path):
    store(tmp_path, "a.npy", field(1, 3, 4))
    store(tmp_path, "b.npy", np.asfortranarray(field(3, 4)))
    assert torch.equal(load(tmp_path, "a.jpg"), load(tmp_path, "b.jpg"))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def pickled(path):
    np.save(path, np.array([[Bomb()]], dtype=object), allow_pickle=True)


def bare_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def truncated(path):
    np.save(path, field(30, 30))
    path.write_bytes(path.read_bytes()[:900])


def greedy(path):
    header = (
        str({"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}).encode().ljust(117) + b"\n"
    )
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


CORPUS = {
    "pickled": (pickled, "pickled Python objects"),
    "bare_pickle": (bare_pickle, "not a readable NumPy file"),
    "truncated": (truncated, "not a readable NumPy file"),
    "empty_file": (lambda p: p.write_bytes(b""), "not a readable NumPy file"),
    "text": (lambda p: p.write_text("0.1 0.2"), "not a readable NumPy file"),
    "greedy": (greedy, "more than 16777216 values"),
    "nan": (lambda p: np.save(p, np.array([[0, np.nan]])), "NaN"),
    "infinite": (lambda p: np.save(p, np.array([[0, np.inf]])), "NaN, infinite"),
    "overflow": (lambda p: np.save(p, np.array([[0, 1e300]])), "too large"),
    "complex": (lambda p: np.save(p, np.ones((2, 2), complex)), "complex128 values"),
    "words": (lambda p: np.save(p, np.array([["a"]])), "values, expected real numbers"),
    "scalar": (lambda p: np.save(p, np.float32(1)), r"shape \(\)"),
    "vector": (lambda p: np.save(p, np.ones(5)), r"shape \(5,\), expected \(h, w\) or \(1, h, w\)"),
    "no_pixel": (lambda p: np.save(p, np.ones((0, 5))), r"shape \(0, 5\)"),
    "channels_first": (
        lambda p: np.save(p, np.ones((3, 5, 6))),
        r"\(3, 5, 6\).*channels must be brought to one",
    ),
    "channels_last": (
        lambda p: np.save(p, np.ones((5, 6, 3))),
        r"\(5, 6, 3\).*channels must be brought to one",
    ),
    "batch": (lambda p: np.save(p, np.ones((1, 1, 5, 6))), r"shape \(1, 1, 5, 6\)"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_bad_files_are_named(tmp_path, case):
    make, reason = CORPUS[case]
    (tmp_path / "n01").mkdir()
    make(tmp_path / "n01" / "a.npy")
    with pytest.raises(SaliencyError, match=rf"^n01/a.npy: .*{reason}") as caught:
        load(tmp_path, "n01/a.jpg")
    assert str(tmp_path) not in str(caught.value), "a row must not depend on where the data lie"
    assert "\n" not in str(caught.value)
    with pytest.raises(SaliencyError, match="n01/a.npy"):
        Precomputed(path=str(tmp_path))(NO_NETWORK, batch("n01/a.jpg"))


def test_archives_hold_one_array(tmp_path):
    np.savez(tmp_path / "a.npz", whatever=field(2, 3))
    assert load(tmp_path).shape == (2, 3)
    np.savez(tmp_path / "a.npz", one=field(2, 3), two=field(2, 3))
    with pytest.raises(SaliencyError, match="a.npz: holds 2 arrays, expected one"):
        load(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(SaliencyError, match="a.npz: not a readable NumPy file"):
        load(tmp_path)
    np.savez(tmp_path / "a.npz", np.array([[Bomb()]], dtype=object))
    with pytest.raises(SaliencyError, match="a.npz: holds pickled"):
        load(tmp_path)


def test_a_damaged_archive_is_named(tmp_path):
    path = store(tmp_path, "a.npz", field(40, 40))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(SaliencyError, match="^a.npz: not a readable"):
        load(tmp_path)


def test_zip_bombs_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = (
            str({"descr": "<f8", "fortran_order": False, "shape": (8000, 8000)}).encode().ljust(117) + b"\n"
        )
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(SaliencyError, match="more than 16777216 values"):
        load(tmp_path)


# The protocol


def test_maps_of_a_batch(tmp_path):
    maps = {
        name: field(*shape, seed=i)
        for i, (name, shape) in enumerate({"a": (7, 7), "b": SIZE, "c": (40, 9)}.items())
    }
    for name, array in maps.items():
        store(tmp_path, f"{name}.npy", array)
    saliency = Precomputed(path=str(tmp_path))
    found = saliency(NO_NETWORK, batch("a.jpg", "b.jpg", "c.jpg"))
    assert found.shape == (3, *SIZE)
    assert found.dtype == torch.float32
    for i, name in enumerate("abc"):
        wanted = torch.from_numpy(maps[name])[None, None].double()
        slow = torch.nn.functional.interpolate(wanted, SIZE, mode="bilinear")[0, 0].float()
        torch.testing.assert_close(found[i], slow)
        assert torch.equal(saliency(NO_NETWORK, batch(f"{name}.jpg"))[0], found[i])
    assert saliency.unsupported(NO_NETWORK) is None


def test_wrong_options_are_named(tmp_path):
    with pytest.raises(UsageError, match="saliency.path='.*nowhere': no such folder"):
        Precomputed(path=str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="saliency.path='.*file': not a folder"):
        Precomputed(path=str(tmp_path / "file"))
    with pytest.raises(UsageError, match="saliency.space=full: choose one of squash, image, crop"):
        Precomputed(path=str(tmp_path), space="full")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="saliency.path="):
        inventory(tmp_path / "nowhere", [])


# Geometry


def view_of(image_size, spec):
    return make_view(np.zeros((*image_size, 3), np.uint8), spec)


def placed(array, space, view, **options):
    return to_view(
        torch.from_numpy(array),
        space,
        image_size=view.image_size,
        size=view.size,
        scale=view.scale,
        offset=view.offset,
        **options,
    )


@pytest.mark.parametrize("native", [(3, 5), SIZE, (30, 50)])
def test_the_whole_image_on_a_squashed_view(native):
    view = view_of((30, 50), ViewSpec(SIZE))
    array = field(*native)
    slow = torch.nn.functional.interpolate(
        torch.from_numpy(array)[None, None].double(), SIZE, mode="bilinear"
    )
    torch.testing.assert_close(placed(array, "squash", view), slow[0, 0].float())


def test_maps_in_image_space_have_the_images_size():
    view = view_of((30, 50), ViewSpec(SIZE))
    array = field(30, 50)
    assert torch.equal(placed(array, "image", view), placed(array, "squash", view))
    with pytest.raises(
        SaliencyError, match=r"the map has 5×3 pixels, its image 50×30 \(saliency.space=image\)"
    ):
        placed(field(3, 5), "image", view)


@given(
    st.integers(5, 90),
    st.integers(5, 90),
    st.integers(4, 30),
    st.integers(4, 30),
    st.sampled_from([0.5, 0.875, 1.0]),
)
def test_a_map_of_the_crop_lies_on_a_cropped_view_as_it_is(height, width, h, w, fraction):
    view = view_of((height, width), ViewSpec((h, w), resize="crop", crop_fraction=fraction))
    array = field(h, w)
    found = placed(array, "crop", view, crop_fraction=fraction)
    torch.testing.assert_close(found, torch.from_numpy(array), rtol=1e-5, atol=1e-5)


def centres(n):
    return np.arange(n) + 0.5


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
@pytest.mark.parametrize("space", ["squash", "image", "crop"])
def test_a_ramp_keeps_its_place(resize, space):
    """A map whose values are the x and y of the image keeps them wherever the view puts the image."""
    image_size, crop = (60, 100), ViewSpec((24, 20), resize="crop")
    view = view_of(image_size, ViewSpec((24, 20), resize=resize))
    frame = view_of(image_size, crop) if space == "crop" else view_of(image_size, ViewSpec(image_size))
    for axis, letters in ((0, "y"), (1, "x")):
        n = frame.size[axis]
        line = (centres(n) - frame.offset[1 - axis]) / frame.scale[1 - axis]
        array = np.broadcast_to(line[:, None] if letters == "y" else line, frame.size).astype(np.float32)
        found = placed(np.ascontiguousarray(array), space, view, outside=-1.0).numpy()
        expected = (centres(view.size[axis]) - view.offset[1 - axis]) / view.scale[1 - axis]
        grid = np.broadcast_to(expected[:, None] if letters == "y" else expected, view.size)
        # Half a pixel inside the map's outermost centres: beyond them its last value is held.
        inside = (grid > line.min()) & (grid < line.max()) & (found >= 0)
        assert inside.sum() > 60
        np.testing.assert_allclose(found[inside], grid[inside], atol=1e-3)


def test_what_a_map_does_not_cover_is_outside():
    view = view_of((50, 100), ViewSpec((20, 20)))
    found = placed(np.ones((20, 20), np.float32), "crop", view, outside=-7.0)
    assert set(found.unique().tolist()) == {-7.0, 1.0}
    # The crop is 20 × 20 in the middle of the image scaled to 22 × 44.
    expected = torch.zeros(20, 20, dtype=torch.bool)
    expected[1:19, 5:15] = True
    assert torch.equal(found == 1, expected)
    boxed = view_of((50, 100), ViewSpec((20, 20), resize="letterbox"))
    bars = placed(np.ones((5, 5), np.float32), "squash", boxed)
    assert (bars[:5] == 0).all()
    assert (bars[5:15] == 1).all()
    assert (bars[15:] == 0).all()


# Before a run


def test_inventory(tmp_path):
    store(tmp_path, "a.npy", field(7, 7))
    store(tmp_path, "b__0.npy", field(7, 7))
    store(tmp_path, "b__1.npz", field(1, 14, 14))
    store(tmp_path, "c.npy", field(2, 2))
    store(tmp_path, "c.jpg.npy", field(2, 2))
    store(tmp_path, "stray.npy", field(2, 2))
    truncated(tmp_path / "e.npy")
    (tmp_path / "f.npy").write_bytes(b"")
    found = inventory(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"])
    assert list(found.matched) == ["a.jpg", "b.jpg", "e.jpg", "f.jpg"]
    assert found.missing == ("d.jpg",)
    assert found.doubled == (("c.jpg", ("c.jpg.npy", "c.npy")),)
    assert found.unused == ("stray.npy",)
    assert found.shapes == Counter({(7, 7): 2, (1, 14, 14): 1, (30, 30): 1}), "headers are read, no more"
    assert [name for name, _ in found.damaged] == ["f.npy"]
    lines = found.text().splitlines()
    assert lines[0] == "precomputed maps: 4 of 6 images have one"
    assert lines[1] == "  shapes: 3 (7×7 (2), 1×14×14 (1), 30×30 (1))"
    assert "  images with several maps: 1 (c.jpg: c.jpg.npy and c.npy)" in lines
    assert "  files of no image: 1 (stray.npy)" in lines
    assert len(lines) == 6


def test_a_long_inventory_stays_short(tmp_path):
    found = inventory(tmp_path, [f"{i:03}.jpg" for i in range(500)])
    assert found.text().splitlines() == [
        "precomputed maps: 0 of 500 images have one",
        "  images without a map: 500 (000.jpg, 001.jpg, 002.jpg, ...)",
    ]


def test_the_digest_follows_content_and_not_place(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        store(folder, "n/a.npy", field(2, 2))
        store(folder, "b.npy", field(2, 2, seed=1))
    names = ("n/a.npy", "b.npy")
    assert digest(one, names) == digest(str(two), reversed(names))
    assert digest(one, names[:1]) != digest(one, names)
    store(two, "stray.npy", field(2, 2))
    assert digest(one, names) == digest(two, names)
    store(two, "b.npy", field(2, 2, seed=2))
    assert digest(one, names) != digest(two, names)
    (two / "b.npy").unlink()
    assert len(digest(two, names)) == 32
