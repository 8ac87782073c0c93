"""The rendered scenes as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench.data.rendered.compose import check, check_integer, scene
from nasbench.data.rendered.levels import DEFAULT_DIFFICULTY
from nasbench.data.rendered.objects import CLASSES
from nasbench.data.rendered.paint import render
from nasbench.data.sample import Sample, Truth
from nasbench.digest import digest_value
from nasbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasbench.data.rendered.scene import Scene

SCHEMA = 1
"""Grows whenever any pixel, mask or label of any scene changes."""

MOST = 1_000_000
"""The most scenes of one dataset: ids have six digits."""


class RenderedDataset:
    """Scenes 0..n-1 of a split, drawn when they are read. Ids are `<split>-<index, six digits>`.

    Args:
        n: number of scenes, 1 to 1,000,000.
        split, seed, difficulty, background_bias, size: see `compose.scene`.
    """

    def __init__(
        self,
        *,
        n: int = 64,
        split: str = "test",
        seed: int = 0,
        difficulty: int = DEFAULT_DIFFICULTY,
        background_bias: float = 0.0,
        size: int = 224,
    ) -> None:
        check(split=split, seed=seed, difficulty=difficulty, background_bias=background_bias, size=size)
        check_integer("n", n, 1, MOST)
        self._n, self._split, self._seed, self._size = n, split, seed, size
        self._difficulty, self._bias = difficulty, float(background_bias)
        self.classes: Sequence[str] = CLASSES
        self.truth: Truth | None = "mask"

    def ids(self) -> Sequence[str]:
        """`test-000000` and so on, in the order of the indices."""
        return [f"{self._split}-{i:06d}" for i in range(self._n)]

    def digest(self, sample_id: str) -> str:
        """Hex digest of all parameters of one scene and of SCHEMA."""
        return digest_value(
            {
                "room": "rendered",
                "schema": SCHEMA,
                "id": sample_id,
                "seed": self._seed,
                "difficulty": self._difficulty,
                "background_bias": self._bias,
                "size": self._size,
            }
        )

    def scene(self, sample_id: str) -> Scene:
        """The scene behind an id, for interventions with `render`. Raises DataError for an unknown id."""
        split, _, number = sample_id.rpartition("-")
        index = int(number) if number.isascii() and number.isdigit() else -1
        if split != self._split or not 0 <= index < self._n or sample_id != f"{split}-{index:06d}":
            raise DataError(
                f"rendered dataset: no scene {sample_id!r}; ids are {self.ids()[0]} to {self.ids()[-1]}"
            )
        return scene(
            index,
            split=self._split,
            seed=self._seed,
            difficulty=self._difficulty,
            background_bias=self._bias,
            size=self._size,
        )

    def load(self, sample_id: str) -> Sample:
        """Draw one scene: image, label, one box, mask and part masks. Raises DataError for an unknown id."""
        drawn = self.scene(sample_id)
        rendered = render(drawn)
        return Sample(
            id=sample_id,
            image=rendered.image,
            labels=(drawn.label,),
            boxes=np.array([rendered.box], dtype=np.float64),
            mask=rendered.mask,
            parts=rendered.parts,
        )
