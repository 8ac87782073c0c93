"""The command line as a test calls it: in this process, or as a user would."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import nasbench.cli.app


@dataclass(frozen=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """Standard error, which must be one line."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, f"expected one line, got:\n{self.err}"
        assert "Traceback" not in self.err
        return lines[0]


def call(capsys, monkeypatch, *args: str) -> Result:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["nasbench", *args])
    capsys.readouterr()
    code = nasbench.cli.app.run(list(args))
    out, err = capsys.readouterr()
    return Result(code, out, err)


def command(*args: str) -> list[str]:
    """A command line for a process of its own."""
    return [sys.executable, "-m", "nasbench", *args]


def spawn(*args: str, cwd: Path | None = None) -> Result:
    """Run a command in a process of its own."""
    done = subprocess.run(command(*args), capture_output=True, text=True, check=False, timeout=300, cwd=cwd)
    return Result(done.returncode, done.stdout, done.stderr)


def make_images(root: Path, count: int, size: tuple[int, int] = (32, 40)) -> Path:
    """A folder of images with masks: a bright square at a place of its own on noise."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        image = rng.integers(0, 120, (*size, 3), dtype=np.uint8)
        mask = np.zeros(size, dtype=np.uint8)
        y, x = rng.integers(0, 16, 2)
        mask[y : y + 12, x : x + 12] = 255
        image[mask > 0] = rng.integers(150, 255, 3)
        Image.fromarray(image).save(root / "images" / f"{i:03d}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i:03d}.png")
    return root


def tiny_explain(root: Path, *more: str) -> list[str]:
    """The same for `nasbench explain`."""
    return ["explain", *tiny(root, *more)[1:]]


def tiny(root: Path, *more: str) -> list[str]:
    """A quick run on such a folder: a random test-sized network at 64 px."""
    return [
        "segment",
        "model=timm",
        "model.name=test_resnet",
        "model.weights=random",
        "model.input_size=64",
        "dataset=folder",
        f"dataset.root={root}",
        *more,
    ]
