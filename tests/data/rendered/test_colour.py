"""Colour alone does not tell the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nasbench.data.rendered import CLASSES, render, scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

sklearn_linear = pytest.importorskip("sklearn.linear_model")
sklearn_neighbors = pytest.importorskip("sklearn.neighbors")


N, TRAIN = 720, 540


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour, its spread, and a histogram of 4 × 4 × 4 colours of (n, 3) pixels: (70,)."""
    values = pixels.astype(np.int64)
    histogram = np.bincount((values >> 6) @ np.array([16, 4, 1]), minlength=64) / len(values)
    return np.concatenate([values.mean(axis=0) / 255, values.std(axis=0) / 255, np.sqrt(histogram)])


@pytest.fixture(scope="module")
def drawn() -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    scenes = [scene(i, split="val", difficulty=1, size=64) for i in range(N)]
    rendered = [render(s) for s in scenes]
    features = {
        "image": np.stack([colours(r.image.reshape(-1, 3)) for r in rendered]),
        "object": np.stack([colours(r.image[r.mask]) for r in rendered]),
    }
    return features, np.array([s.label for s in scenes])


@pytest.mark.parametrize("where", ["image", "object"])
@pytest.mark.parametrize(
    "model",
    [sklearn_neighbors.KNeighborsClassifier(9), sklearn_linear.LogisticRegression(max_iter=200)],
    ids=["neighbours", "logistic"],
)
def test_colour_histograms_stay_far_below_the_network(
    model: Any, where: str, drawn: tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]
) -> None:
    features, labels = drawn
    accuracy = model.fit(features[where][:TRAIN], labels[:TRAIN]).score(
        features[where][TRAIN:], labels[TRAIN:]
    )
    assert accuracy < 0.2, f"chance is {1 / len(CLASSES):.3f}, the network is above 0.95"
