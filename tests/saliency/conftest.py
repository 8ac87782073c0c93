"""One small network per family, batches of images, and networks simple enough to be known by heart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nasbench.models import Classifier, load_classifier
from nasbench.saliency.base import Batch
from tests.models.conftest import Family, images

SMALL_SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "window_size": 4}
# Without zero_init_last an untrained ResNet's residual branches are not all zero.
FAMILIES = (
    Family("test_resnet", (64, 96), (), (96, 2, 3), kwargs={"zero_init_last": False}),
    Family("test_convnext", (64, 64), (), (64, 2, 2)),
    Family("test_efficientnet", (96, 64), (), (256, 3, 2)),
    Family("mobilenetv2_050", (64, 64), (), (1280, 2, 2)),
    Family("test_vit", (48, 80), (), (64, 3, 5)),
    Family("swin_tiny_patch4_window7_224", (64, 96), (), (192, 2, 3), kwargs=SMALL_SWIN),
    Family("test_mambaout", (64, 96), (), (64, 2, 3)),
)


def batch_of(count: int, size: tuple[int, int] = (64, 64), *, classes: int = 1000, **options: Any) -> Batch:
    """Random images, each with a target of its own and a mask in its upper left corner."""
    truth = torch.zeros(count, *size, dtype=torch.bool)
    truth[:, : size[0] // 3, : size[1] // 2] = True
    target = (torch.arange(count) * 37 + 5) % classes
    ids = tuple(f"image-{i}" for i in range(count))
    return Batch(ids, images(count, size, seed=3), target, truth, **options)


def picked(batch: Batch, rows: list[int]) -> Batch:
    ids = tuple(batch.ids[i] for i in rows)
    truth = None if batch.truth is None else batch.truth[rows]
    return Batch(ids, batch.x[rows], batch.target[rows], truth, batch.max_batch)


def tiny(name: str = "test_resnet", **options: Any) -> Classifier:
    if name == "test_resnet":
        options = {"kwargs": {"zero_init_last": False}, **options}
    return load_classifier(name=name, weights="random", **{"input_size": 64, **options})


class Linear(nn.Module):
    """Logits linear in the image: ⟨W_k, normalised x⟩ + bias; `final` is the image itself."""

    num_classes = 4

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        gen = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(self.num_classes, 3, *size, generator=gen))
        self.bias = nn.Parameter(torch.randn(self.num_classes, generator=gen))

    def forward_intermediates(self, x: Tensor, **_: Any) -> tuple[Tensor, list[Tensor]]:
        return x, [x]

    def forward_head(self, x: Tensor) -> Tensor:
        return torch.einsum("kchw,bchw->bk", self.weight, x) + self.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(x)

    def get_classifier(self) -> nn.Module:
        return self


def linear(size: tuple[int, int] = (6, 8), kind: type[Linear] = Linear) -> Classifier:
    return Classifier(
        kind(size),
        name="linear",
        input_size=size,
        mean=(0.5, 0.25, 0.0),
        std=(0.5, 0.25, 2.0),
        weights_source="none",
    )
