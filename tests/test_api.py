"""The Python door."""

from __future__ import annotations

import pytest
import timm
import torch

import nasbench
from nasbench.models import Classifier, load_classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(name="test_resnet", weights="random", input_size=64)


def test_labels_of_a_batch(classifier):
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    labels = nasbench.nas(classifier, x, k=4)
    assert labels.shape == (2, 64, 64)
    assert labels.max() == 3
    assert torch.equal(labels, nasbench.nas(classifier, x, k=4))


def test_a_timm_network_is_left_as_it_was():
    module = timm.create_model("test_resnet").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x = torch.rand(1, 3, 96, 64)
    labels = nasbench.nas(module, x, k=3, stages=[-1])
    assert labels.shape == (1, 96, 64)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="nass"):
        nasbench.nass  # noqa: B018 - the access is the test
