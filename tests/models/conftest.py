"""The families of networks every contract of this room is tested on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nasbench.models.load import load_classifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nasbench.models.classifier import Classifier


@dataclass(frozen=True)
class Family:
    """A network at a small input, with what must come out of it: (C, h, w) of each stage and of `final`."""

    name: str
    size: tuple[int, int]
    stages: tuple[tuple[int, int, int], ...]
    final: tuple[int, int, int]
    prefix: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.name


FOUR_OF_DEIT = ((192, 4, 6),) * 4
# vgg's hidden layer is 100 million parameters wide; an eighth of it is the same network to these tests.
NARROW = {"mlp_ratio": 0.125}

FAMILIES = (
    Family("test_resnet", (64, 96), ((32, 16, 24), (48, 8, 12), (192, 4, 6), (96, 2, 3)), (96, 2, 3)),
    Family("test_convnext", (64, 64), ((24, 16, 16), (32, 8, 8), (48, 4, 4), (64, 2, 2)), (64, 2, 2)),
    Family("test_efficientnet", (64, 64), ((24, 16, 16), (32, 8, 8), (48, 4, 4), (64, 2, 2)), (256, 2, 2)),
    Family("test_byobnet", (64, 64), ((32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)), (256, 2, 2)),
    Family("test_nfnet", (64, 64), ((32, 16, 16), (64, 8, 8), (96, 4, 4), (192, 2, 2)), (192, 2, 2)),
    Family("test_maxvit", (64, 64), ((32, 16, 16), (64, 8, 8), (96, 4, 4), (128, 2, 2)), (128, 2, 2)),
    Family("test_vit", (48, 80), ((64, 3, 5),) * 4, (64, 3, 5), prefix=1),
    Family("test_vit_relpos", (64, 64), ((96, 4, 4),) * 4, (96, 4, 4)),
    Family("resnet18", (64, 64), ((64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)), (512, 2, 2)),
    Family(
        "vgg11", (64, 64), ((256, 16, 16), (512, 8, 8), (512, 4, 4), (512, 2, 2)), (512, 2, 2), kwargs=NARROW
    ),
    Family(
        "vgg11_bn",
        (64, 64),
        ((256, 16, 16), (512, 8, 8), (512, 4, 4), (512, 2, 2)),
        (512, 2, 2),
        kwargs=NARROW,
    ),
    Family("densenet121", (64, 64), ((256, 16, 16), (512, 8, 8), (1024, 4, 4), (1024, 2, 2)), (1024, 2, 2)),
    Family("mobilenetv2_050", (65, 65), ((16, 17, 17), (16, 9, 9), (48, 5, 5), (160, 3, 3)), (1280, 3, 3)),
    Family(
        "mobilenetv3_small_050", (64, 64), ((8, 16, 16), (16, 8, 8), (24, 4, 4), (288, 2, 2)), (288, 2, 2)
    ),
    Family("inception_v3", (96, 128), ((192, 20, 28), (288, 9, 13), (768, 4, 6), (2048, 1, 2)), (2048, 1, 2)),
    Family("deit_tiny_patch16_224", (64, 96), FOUR_OF_DEIT, (192, 4, 6), prefix=1),
    Family("deit_tiny_distilled_patch16_224", (64, 96), FOUR_OF_DEIT, (192, 4, 6), prefix=2),
    Family(
        "swin_tiny_patch4_window7_224",
        (64, 96),
        ((96, 16, 24), (192, 8, 12), (384, 4, 6), (768, 2, 3)),
        (768, 2, 3),
    ),
)


@cache
def classifier_of(family: Family) -> Classifier:
    """One classifier per family for the whole session. A test that moves one loads its own."""
    return load_classifier(name=family.name, weights="random", input_size=family.size, kwargs=family.kwargs)


def images(count: int, size: tuple[int, int], *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
