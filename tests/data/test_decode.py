"""Every kind of file a data set can hold, with exact pixels or the exact reason for refusing it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nasbench.data.decode import IMAGE_SUFFIXES, read_bytes, read_image, read_mask
from nasbench.errors import DataError

Pixels = np.ndarray[Any, Any]

# Red, green, blue / black, white, yellow: no rotation or mirroring leaves it as it is.
PICTURE = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [255, 255, 255], [255, 255, 0]]], dtype=np.uint8
)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def png(
    size: tuple[int, int], depth: int, colour: int, rows: bytes, extra: tuple[bytes, bytes] | None = None
) -> bytes:
    """A PNG written by hand, for what PIL cannot write. `size` is (w, h)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *([extra] if extra else []), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)


def grey_as_rgb(values: list[list[int]]) -> Pixels:
    return np.repeat(np.array(values, dtype=np.uint8)[..., None], 3, axis=2)


def written(folder: Path, content: bytes, name: str = "x.png") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def reason(path: Path) -> str:
    """The refusal's reason, checked for what every reason must be: one line without the path."""
    with pytest.raises(DataError) as caught:
        read_image(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path.parent) not in text
    return text


class TestFormats:
    @pytest.mark.parametrize(
        ("file_format", "options"),
        [
            ("PNG", {}),
            ("PNG", {"interlace": 1}),
            ("BMP", {}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"compression": "tiff_adobe_deflate"}),
            ("WEBP", {"lossless": True}),
            ("GIF", {}),
        ],
    )
    def test_lossless_formats_are_exact(
        self, tmp_path: Path, file_format: str, options: dict[str, Any]
    ) -> None:
        pixels = read_image(written(tmp_path, encoded(Image.fromarray(PICTURE), file_format, **options)))
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable
        np.testing.assert_array_equal(pixels, PICTURE)

    @pytest.mark.parametrize("colour", [(200, 30, 60), (0, 0, 0), (255, 255, 255)])
    def test_jpeg(self, tmp_path: Path, colour: tuple[int, int, int]) -> None:
        content = encoded(Image.new("RGB", (16, 8), colour), "JPEG", quality=95)
        pixels = read_image(written(tmp_path, content, "x.jpg"))
        assert pixels.shape == (8, 16, 3)
        assert np.abs(pixels.astype(int) - colour).max() <= 2

    def test_progressive_jpeg_equals_baseline(self, tmp_path: Path) -> None:
        image = Image.fromarray(PICTURE).resize((40, 30))
        a = read_image(written(tmp_path, encoded(image, "JPEG"), "a.jpg"))
        b = read_image(written(tmp_path, encoded(image, "JPEG", progressive=True), "b.jpg"))
        np.testing.assert_array_equal(a, b)

    def test_cmyk_jpeg_is_not_inverted(self, tmp_path: Path) -> None:
        # PIL writes the Adobe marker and inverted inks, as Photoshop does; a naive reader yields a negative.
        content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
        assert b"Adobe" in content
        assert np.abs(read_image(written(tmp_path, content)).astype(int) - [255, 0, 0]).max() <= 2

    def test_ycck_jpeg(self, tmp_path: Path) -> None:
        # The same components declared YCCK by the Adobe transform byte: neutral chroma and no black ink.
        content = bytearray(encoded(Image.new("CMYK", (8, 8), (127, 127, 127, 0)), "JPEG", quality=100))
        content[content.index(b"Adobe") + 11] = 2
        pixels = read_image(written(tmp_path, bytes(content)))
        assert np.abs(pixels.astype(int) - 128).max() <= 2

    def test_the_suffix_does_not_decide(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(PICTURE), "PNG"), "x.jpg")
        np.testing.assert_array_equal(read_image(path), PICTURE)

    @pytest.mark.parametrize(
        "name", ["плоскодонка.png", "日本 語.png", "e\u0301.png", "a\nb.png", "a,b=c.png"]
    )
    def test_names(self, tmp_path: Path, name: str) -> None:
        np.testing.assert_array_equal(
            read_image(written(tmp_path, encoded(Image.fromarray(PICTURE), "PNG"), name)), PICTURE
        )

    @pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
    def test_shapes(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        pixels = np.arange(shape[0] * shape[1] * 3, dtype=np.uint32).astype(np.uint8).reshape(*shape, 3)
        path = written(tmp_path, encoded(Image.fromarray(pixels), "PNG"))
        np.testing.assert_array_equal(read_image(path), pixels)

    def test_first_frame_of_animations(self, tmp_path: Path) -> None:
        first, second = Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())
        for file_format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
            content = encoded(first, file_format, save_all=True, append_images=[second], **options)
            np.testing.assert_array_equal(read_image(written(tmp_path, content)), PICTURE)

    def test_suffixes_are_lower_case(self) -> None:
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


class TestColourModes:
    def test_grey(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[0, 7, 255]], np.uint8)), "PNG"))
        np.testing.assert_array_equal(read_image(path), grey_as_rgb([[0, 7, 255]]))

    def test_one_bit(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[True, False]])), "PNG"))
        np.testing.assert_array_equal(read_image(path), grey_as_rgb([[255, 0]]))

    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_16_bit_grey_keeps_the_high_byte(self, tmp_path: Path, file_format: str) -> None:
        deep = Image.fromarray(np.array([[0, 255, 256, 0x12FF, 65535]], np.uint16))
        pixels = read_image(written(tmp_path, encoded(deep, file_format)))
        np.testing.assert_array_equal(pixels, grey_as_rgb([[0, 0, 1, 0x12, 255]]))

    def test_mode_i(self, tmp_path: Path) -> None:
        deep = Image.fromarray(np.array([[0, 256, 65535]], np.int32))
        pixels = read_image(written(tmp_path, encoded(deep, "TIFF")))
        np.testing.assert_array_equal(pixels, grey_as_rgb([[0, 1, 255]]))

    def test_big_endian_16_bit_grey(self, tmp_path: Path) -> None:
        deep = np.array([[0x0102, 0xFFFE]], np.uint16)
        content = encoded(Image.frombytes("I;16B", (2, 1), deep.astype(">u2").tobytes()), "TIFF")
        np.testing.assert_array_equal(read_image(written(tmp_path, content)), grey_as_rgb([[1, 255]]))

    def test_16_bit_grey_with_a_transparent_value(self, tmp_path: Path) -> None:
        rows = b"\0" + struct.pack(">HH", 0x1234, 0x1235)
        content = png((2, 1), 16, 0, rows, (b"tRNS", struct.pack(">H", 0x1234)))
        np.testing.assert_array_equal(read_image(written(tmp_path, content)), grey_as_rgb([[255, 0x12]]))

    def test_16_bit_rgb(self, tmp_path: Path) -> None:
        rows = b"\0" + struct.pack(">HHH", 0x12FF, 0x00FF, 0xFF00)
        np.testing.assert_array_equal(
            read_image(written(tmp_path, png((1, 1), 16, 2, rows))), [[[0x12, 0, 0xFF]]]
        )

    def test_palette(self, tmp_path: Path) -> None:
        image = Image.fromarray(PICTURE).quantize(6)
        assert image.mode == "P"
        np.testing.assert_array_equal(read_image(written(tmp_path, encoded(image, "PNG"))), PICTURE)

    def test_palette_with_a_transparent_index(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60])
        for file_format in ("PNG", "GIF"):
            pixels = read_image(written(tmp_path, encoded(image, file_format, transparency=0)))
            np.testing.assert_array_equal(pixels, [[[255, 255, 255], [40, 50, 60]]])

    def test_palette_with_alpha(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60])
        pixels = read_image(written(tmp_path, encoded(image, "PNG", transparency=bytes([0, 51]))))
        np.testing.assert_array_equal(pixels, [[[255, 255, 255], [212, 214, 216]]])

    def test_rgb_with_a_transparent_colour(self, tmp_path: Path) -> None:
        content = encoded(Image.fromarray(PICTURE), "PNG", transparency=(0, 0, 0))
        expected = PICTURE.copy()
        expected[1, 0] = 255
        np.testing.assert_array_equal(read_image(written(tmp_path, content)), expected)

    def test_rgba_over_white(self, tmp_path: Path) -> None:
        # 100·51/255 + 255·204/255 = 224; 0·128/255 + 255·127/255 = 127; hidden colours leave no trace.
        rgba = np.array([[[100, 100, 100, 51], [0, 0, 0, 128], [9, 8, 7, 0], [9, 8, 7, 255]]], np.uint8)
        expected = np.array([[[224] * 3, [127] * 3, [255] * 3, [9, 8, 7]]])
        for file_format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
            content = encoded(Image.fromarray(rgba), file_format, **options)
            np.testing.assert_array_equal(read_image(written(tmp_path, content)), expected)

    def test_grey_with_alpha(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[[100, 51], [7, 0], [7, 255]]], np.uint8), "LA")
        np.testing.assert_array_equal(
            read_image(written(tmp_path, encoded(image, "PNG"))), grey_as_rgb([[224, 255, 7]])
        )


class TestOrientation:
    # What the file holds for each EXIF value, so that the upright picture is PICTURE.
    STORED = {  # noqa: RUF012 - a table
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.swapaxes(0, 1),
        6: np.rot90(PICTURE, 1),
        7: PICTURE[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(PICTURE, -1),
    }

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
    def test_all_eight(self, tmp_path: Path, orientation: int, file_format: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"lossless": True} if file_format == "WEBP" else {}
        image = Image.fromarray(np.ascontiguousarray(self.STORED[orientation]))
        path = written(tmp_path, encoded(image, file_format, exif=exif, **options))
        np.testing.assert_array_equal(read_image(path), PICTURE)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_jpeg(self, tmp_path: Path, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(np.ascontiguousarray(self.STORED[orientation]))
        image = image.resize((image.width * 16, image.height * 16), Image.Resampling.NEAREST)
        pixels = read_image(
            written(tmp_path, encoded(image, "JPEG", quality=100, subsampling=0, exif=exif), "x.jpg")
        )
        assert np.abs(pixels[8::16, 8::16].astype(int) - PICTURE).max() <= 3

    @pytest.mark.parametrize("value", [0, 9, 77])
    def test_an_unknown_value_is_upright(self, tmp_path: Path, value: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        np.testing.assert_array_equal(
            read_image(written(tmp_path, encoded(Image.fromarray(PICTURE), "PNG", exif=exif))), PICTURE
        )

    @pytest.mark.parametrize(
        "garbage", [b"\xff" * 40, b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff", b""]
    )
    @pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
    def test_damaged_metadata_costs_nothing_and_says_nothing(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], garbage: bytes, file_format: str
    ) -> None:
        image = Image.fromarray(PICTURE)
        plain = read_image(written(tmp_path, encoded(image, file_format)))
        content = encoded(image, file_format, exif=b"Exif\0\0" + garbage)
        np.testing.assert_array_equal(read_image(written(tmp_path, content)), plain)
        assert capfd.readouterr() == ("", "")


class TestRefused:
    def test_zero_byte_file(self, tmp_path: Path) -> None:
        assert reason(written(tmp_path, b"")) == "the file is empty"

    def test_text_named_jpg(self, tmp_path: Path) -> None:
        path = written(tmp_path, b"not an image\n", "x.jpg")
        assert reason(path) == "not an image in a known format (JPEG, PNG, WEBP, BMP, TIFF, GIF)"

    def test_folder_named_jpg(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").mkdir()
        assert reason(tmp_path / "x.jpg") == "a folder, not an image file"

    def test_missing_file(self, tmp_path: Path) -> None:
        assert reason(tmp_path / "x.jpg") == "the file is missing"

    def test_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").symlink_to(tmp_path / "nowhere.jpg")
        assert reason(tmp_path / "x.jpg") == "the file is missing"

    def test_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").symlink_to(tmp_path / "x.jpg")
        assert reason(tmp_path / "x.jpg").startswith("the file cannot be read: too many levels")

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.jpg")
        assert reason(tmp_path / "x.jpg") == "not a regular file"

    def test_permission_denied(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, encoded(Image.fromarray(PICTURE), "PNG"))

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(self))  # chmod would not stop a superuser

        monkeypatch.setattr(Path, "read_bytes", refuse)
        assert reason(path) == "the file cannot be read: permission denied"

    @pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
    def test_truncated_in_the_middle(self, tmp_path: Path, file_format: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        content = encoded(Image.fromarray(noise), file_format)
        assert reason(written(tmp_path, content[: len(content) // 2])).startswith(
            ("cannot be decoded: ", "not an image in a known format")
        )

    @pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
    def test_truncated_says_so(self, tmp_path: Path, file_format: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        content = encoded(Image.fromarray(noise), file_format)
        assert "truncated" in reason(written(tmp_path, content[: len(content) * 3 // 4]))

    @pytest.mark.parametrize(
        ("file_format", "options"),
        [
            ("JPEG", {}),
            ("JPEG", {"progressive": True}),
            ("PNG", {}),
            ("WEBP", {"lossless": True}),
            ("BMP", {}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("GIF", {}),
        ],
    )
    def test_no_prefix_yields_wrong_pixels(
        self,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
        file_format: str,
        options: dict[str, Any],
    ) -> None:
        noise = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
        content = encoded(Image.fromarray(noise), file_format, **options)
        whole = read_image(written(tmp_path, content))
        refused = 0
        for cut in range(len(content)):
            path = written(tmp_path, content[:cut])
            try:
                pixels = read_image(path)
            except DataError:
                refused += 1
            else:
                np.testing.assert_array_equal(pixels, whole, err_msg=f"cut at {cut} of {len(content)}")
        assert refused > len(content) // 2
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("side", [10_000, 60_000])
    def test_decompression_bomb_is_never_decoded(
        self, tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # 10,000² lies between PIL's limit (a warning) and its double (an error): both are refusals here.
        monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
        path = written(tmp_path, png((side, side), 8, 2, b"\0"))
        assert reason(path) == f"more than {Image.MAX_IMAGE_PIXELS} pixels, refused as a decompression bomb"

    def test_float_tiff(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[0.5]], np.float32)), "TIFF"))
        assert reason(path) == "floating-point pixels: their range is not known"

    @pytest.mark.parametrize("value", [-1, 65536])
    def test_32_bit_grey_out_of_range(self, tmp_path: Path, value: int) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[value]], np.int32)), "TIFF"))
        assert reason(path) == "grey values outside 0..65535: their range is not known"

    def test_other_formats_of_pil(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(PICTURE), "PPM"))
        assert reason(path).startswith("not an image in a known format")

    def test_read_bytes(self, tmp_path: Path) -> None:
        assert read_bytes(written(tmp_path, b"abc")) == b"abc"


class TestMask:
    @pytest.mark.parametrize("file_format", ["PNG", "BMP"])
    def test_grey(self, tmp_path: Path, file_format: str) -> None:
        image = Image.fromarray(np.array([[0, 1, 127, 255]], np.uint8))
        mask = read_mask(written(tmp_path, encoded(image, file_format)))
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(mask, [[False, True, True, True]])

    def test_one_bit(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[True, False]])), "PNG"))
        np.testing.assert_array_equal(read_mask(path), [[True, False]])

    def test_palette_counts_by_index(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
        image.putpalette([255, 255, 255, 0, 0, 0, 9, 9, 9])  # index 0 is white, index 1 black
        for options in ({}, {"transparency": 1}):
            path = written(tmp_path, encoded(image, "PNG", **options))
            np.testing.assert_array_equal(read_mask(path), [[False, True, True]])

    def test_16_bit_values_below_256_count(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.fromarray(np.array([[0, 1, 256]], np.uint16)), "PNG"))
        np.testing.assert_array_equal(read_mask(path), [[False, True, True]])

    def test_alpha_counts_for_nothing(self, tmp_path: Path) -> None:
        grey = Image.fromarray(np.array([[[0, 255], [1, 0]]], np.uint8), "LA")
        np.testing.assert_array_equal(read_mask(written(tmp_path, encoded(grey, "PNG"))), [[False, True]])
        colour = Image.fromarray(np.array([[[0, 0, 0, 255], [0, 0, 1, 0]]], np.uint8))
        np.testing.assert_array_equal(read_mask(written(tmp_path, encoded(colour, "PNG"))), [[False, True]])

    def test_lossy_formats_are_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.new("L", (8, 8)), "JPEG"))
        with pytest.raises(DataError, match="not an image in a known format"):
            read_mask(path)

    def test_modes_without_a_zero_are_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path, encoded(Image.new("CMYK", (2, 2)), "TIFF"))
        with pytest.raises(DataError, match="mode CMYK"):
            read_mask(path)
