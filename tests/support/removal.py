"""Runs of `nasbench leRF` as a test looks at them, and networks whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from nasbench.data import ViewSpec, make_view
from nasbench.data.rendered import RenderedDataset
from nasbench.models import Classifier, load_classifier

SIZE = 64
SCENES = RenderedDataset(n=12, size=SIZE)
# Widths of the stripes that `Stripes` cuts, and what each is worth to `Sums`.
WIDTHS = (3, 10, 20, 8, 23)
WORTH = (0.3, 0.05, 0.1, 0.25, 0.2)


def tiny_lerf(*more: str, n: int = 12) -> list[str]:
    """A quick run: a random test-sized network of twelve classes at 64 px on some rendered scenes."""
    return [
        "leRF",
        "model=timm",
        "model.name=test_resnet",
        "model.weights=random",
        "model.num_classes=12",
        f"model.input_size={SIZE}",
        "model.kwargs.zero_init_last=false",
        "dataset=rendered",
        f"dataset.n={n}",
        f"dataset.size={SIZE}",
        *more,
    ]


def tiny_network() -> Classifier:
    """The network of `tiny_lerf`."""
    return load_classifier(
        name="test_resnet",
        weights="random",
        num_classes=12,
        input_size=SIZE,
        kwargs={"zero_init_last": False},
    )


@pytest.fixture
def undrawn(monkeypatch):
    """Runs without their figures, which cost more than the tiny network."""
    monkeypatch.setattr("nasbench.report.relevance_report.relevance_plots", lambda _: {}, raising=False)


def known(name: str) -> list[str]:
    """Overrides that put one of the networks below in the place of `tiny_lerf`'s."""
    return [f"model._target_={__name__}.{name}"]


def pixels(sample: str) -> torch.Tensor:
    """The view (3, H, W) of a scene."""
    spec = ViewSpec(size=(SIZE, SIZE), resize="squash", interpolation="bicubic")
    return torch.from_numpy(make_view(SCENES.load(sample).image, spec).pixels)


def weights() -> torch.Tensor:
    """(3, H, W) float64, of both signs: what `Linear` multiplies the pixels with."""
    return torch.from_numpy(np.random.default_rng(5).standard_normal((3, SIZE, SIZE)) / (3 * SIZE))


def stripes() -> torch.Tensor:
    """(H, W) int64, vertical stripes of unequal widths."""
    return torch.arange(len(WIDTHS)).repeat_interleave(torch.tensor(WIDTHS)).expand(SIZE, SIZE).contiguous()


class Known(Classifier):
    """A network of which the logits are a formula; its features are those of the tiny one."""

    def formula(self, x):
        raise NotImplementedError

    def logits(self, x):
        self._normalised(x)  # refuses what is no image
        return self.formula(x.double())

    def features(self, x):
        return replace(super().features(x), logits=self.logits(x))


class Linear(Known):
    """Logit 0 is linear in the pixels, the others are 0."""

    def formula(self, x):
        logits = torch.zeros(len(x), 12, dtype=torch.float64)
        logits[:, 0] = (x * weights()).sum((1, 2, 3))
        return logits


class Sums(Known):
    """The probability of class 0 is a sum over stripes, of what each is worth times its mean brightness."""

    def formula(self, x):
        labels = stripes()
        score = torch.full((len(x),), 0.02, dtype=torch.float64)
        for region, worth in enumerate(WORTH):
            score += worth * x.mean(dim=1)[:, labels == region].mean(dim=1)
        return torch.stack([score.log(), (1 - score).log()], dim=1)


class Constant(Known):
    """A network that does not look."""

    def formula(self, x):
        return torch.tensor([[0.5, -0.25, 0.0]], dtype=torch.float64).expand(len(x), 3)


class Broken(Known):
    """NaN for every image."""

    def formula(self, x):
        return torch.full((len(x), 12), torch.nan)


class BrokenOnBlack(Known):
    """NaN for an image that is black in most places."""

    def formula(self, x):
        logits = torch.zeros(len(x), 12, dtype=torch.float64)
        logits[(x == 0).double().mean((1, 2, 3)) > 0.7] = torch.nan
        return logits


def _made(kind):
    def make(**_options):
        made = tiny_network()
        made.__class__ = kind
        made.num_classes = len(made.logits(torch.zeros(1, 3, SIZE, SIZE))[0])
        return made

    return make


linear, sums, constant, broken, broken_on_black = map(_made, (Linear, Sums, Constant, Broken, BrokenOnBlack))


class Stripes:
    """A segmenter: the same stripes in every image, all in one where it is told."""

    uses_features: ClassVar[bool] = False

    def __init__(self, whole=""):
        self.whole = whole

    def __call__(self, views, features):
        del features
        labels = stripes().repeat(len(views.ids), 1, 1)
        for i, name in enumerate(views.ids):
            if name == self.whole:
                labels[i] = 0
        return labels


STRIPES = ("segmenter=custom", f"segmenter._target_={__name__}.Stripes")


def save_maps(root, make):
    """Write a map for each scene, `make(place)`, as `saliency=precomputed` reads them; the overrides."""
    for place, sample in enumerate(SCENES.ids()):
        path = root / f"{sample}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.asarray(make(place), dtype=np.float32))
    return ["saliency=precomputed", f"saliency.path={root}"]


def slow_upsampled(native):
    """(h, w) on the view: bilinear by torch, each pixel held between the four native ones around it."""
    given = torch.from_numpy(np.asarray(native, dtype=np.float32))[None, None]
    large = torch.nn.functional.interpolate(given, (SIZE, SIZE), mode="bilinear", align_corners=False)[0, 0]
    found = large.numpy().copy()
    for y in range(SIZE):
        for x in range(SIZE):
            corners = [native[v, u] for v in _around(y, native.shape[0]) for u in _around(x, native.shape[1])]
            found[y, x] = min(max(found[y, x], min(corners)), max(corners))
    return found


def _around(place, n):
    """The two of n native pixels between whose centres a pixel's centre lies; at the border one, twice."""
    low = ((2 * place + 1) * n - SIZE) // (2 * SIZE)
    return min(max(low, 0), n - 1), min(max(low + 1, 0), n - 1)
