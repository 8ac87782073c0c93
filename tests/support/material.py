"""What the pages' commands are run on: files of the names that a reader would put in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

_WEIGHTS = ("resnet50", "resnet18", "mobilenetv2_100")
# name on the pages -> path among the real data
REAL = {f"{name}.safetensors": f"weights/{name}.safetensors" for name in _WEIGHTS} | {
    "imagenet": "imagenet",
    "BSDS500": "BSDS500",
    "CUB_200_2011": "CUB_200_2011",
    "stl10_binary": "stl10_binary",
    "birds.safetensors": "weights/mobilenetv2_100_inat_bird.safetensors",
    "birds.json": "CUB_200_2011/inat_bird_label_map.json",
}


def photos(path: Path) -> None:
    """Six images of two classes in a folder each, with masks: a bright square on noise."""
    for i in range(6):
        rng, kind = np.random.default_rng(i), ("bright", "square")[i % 2]
        image = rng.integers(0, 120, (96, 128, 3), dtype=np.uint8)
        y, x = rng.integers(8, 40, 2)
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        mask[y : y + 40, x : x + 40] = 255
        image[mask > 0] = rng.integers(150, 255, 3)
        for folder, pixels in (("images", image), ("masks", mask)):
            file = path / folder / kind / f"{i:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)


def maps(path: Path) -> None:
    """A map for each of the photos."""
    for i in range(6):
        file = path / ("bright", "square")[i % 2] / f"{i:03d}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.random.default_rng(i).random((7, 9), dtype=np.float32))


def vit(path: Path) -> None:
    """Random weights of the smallest ViT."""
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), path)


_MADE: dict[str, Callable[[Path], None]] = {"photos": photos, "maps": maps, "vit.safetensors": vit}


def lay_out(folder: Path, texts: Iterable[str], real: Path | None) -> None:
    """Put into a folder what the texts name: made up, or a link into the folder of real data."""
    text = "\n".join(texts)
    for name, make in _MADE.items():
        if _names(text, name):
            make(folder / name)
    for name, source in REAL.items():
        if real is not None and _names(text, name):
            os.symlink(real / source, folder / name)  # noqa: PTH211


def _names(text: str, name: str) -> bool:
    """Whether a command reads a file of this name."""
    return re.search(rf"=\W?{re.escape(name)}(?![\w.-])", text) is not None
