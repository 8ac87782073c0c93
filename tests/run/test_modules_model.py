"""Runs with a network that timm has not."""

from __future__ import annotations

import pytest

from tests.support.explain import rows

LAYERS = "model.stages=[layer1,layer2,layer3,layer4]"
SMALL = ("model.input_size=64", "model.num_classes=12", "dataset=rendered", "dataset.n=3", "dataset.size=64")


def resnet(*more: str) -> list[str]:
    return ["model=modules", "model.builder=torchvision.models.resnet18", LAYERS, *SMALL, *more]


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=12):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.fc(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))
"""


def test_every_command_takes_it_with_its_controls(run, tmp_path):
    more = ("segmenter=nas", "segmenter.k=4", "segmenter.source=self,random_weights")
    run("segment", *resnet("model.weights=random", *more), "--out", "regions")
    assert len(rows(tmp_path / "regions", metric="n_regions", status="ok")) == 6
    maps = ("saliency=cam,gradcam,gradient", "randomise=0,1,all", "target=prediction")
    run("explain", *resnet("model.weights=random", *maps), "--out", "maps")
    assert not rows(tmp_path / "maps", status="error")
    assert len({row["cell"] for row in rows(tmp_path / "maps")}) == 9
    boxes = ("saliency=layercam", "saliency.layer=layer3", "target=prediction")
    run("wsol", *resnet("model.weights=random", *boxes), "--out", "boxes")
    assert len(rows(tmp_path / "boxes", metric="box@0.50", status="ok")) == 3
    removal = ("saliency=gradcam", "target=prediction", "metric.steps=3")
    run("leRF", *resnet("model.weights=random", *removal), "--out", "removal")
    assert len(rows(tmp_path / "removal", metric="auc_lerf", status="ok")) == 3


def test_code_of_ones_own_is_in_the_key(run, tmp_path):
    (tmp_path / "ownnet.py").write_text(NET)
    args = ["segment", "model=modules", "model.builder=ownnet.Net", "model.stages=[first,second]", *SMALL]
    args += ["model.weights=random", "segmenter.k=3", "segmenter.stages=[0,1]", "--dry-run"]

    def folder() -> str:
        lines: list[str] = run(*args).out.splitlines()
        return next(line for line in lines if line.startswith("folder"))

    before = folder()
    assert folder() == before
    (tmp_path / "ownnet.py").write_text(NET + "# changed\n")
    assert folder() != before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"builder": None}, "model.builder is not set"),
        ({"stages": None}, "model.stages is not set"),
        ({"weights": None}, "model.weights: give a .safetensors or .pth file, or `random`"),
        ({"stages": "[layer9]"}, "model.stages: there is no module 'layer9'"),
        ({"stages": "layer4"}, "model.stages='layer4': give the names"),
        ({"builder": "nowhere.net"}, "model.builder=nowhere.net cannot be imported"),
        ({"kwargs.depth": "3"}, "model.builder=torchvision.models.resnet18 refuses"),
        ({"weight": "x"}, "unknown key model.weight; did you mean model.weights?"),
    ],
)
def test_misuse_is_one_line(run, changed, message):
    given = {"builder": "torchvision.models.resnet18", "stages": "[layer1,layer4]", "weights": "random"}
    args = [f"model.{key}={value}" for key, value in {**given, **changed}.items() if value is not None]
    assert message in run("segment", "model=modules", *args, *SMALL, code=2).line
