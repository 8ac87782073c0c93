"""Cascading randomisation: blocks from the head down, and what they do to a network."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from nasbench.errors import UsageError
from nasbench.models import load_classifier
from nasbench.models.weights import state_digest
from nasbench.saliency.randomised import apply_cascade, blocks, cascade

SIZE = (64, 64)
# One of each layout: a plain head, one with a norm, a convolution after the stages, tokens, two heads, and
# stages that are single activation layers.
NAMES = [
    "test_resnet",
    "test_convnext",
    "test_efficientnet",
    "test_nfnet",
    "test_vit",
    "deit_tiny_distilled_patch16_224",
    "vgg11_bn",
]
OPTIONS = {"vgg11_bn": {"mlp_ratio": 0.125}}


def make(name, seed):
    return load_classifier(
        name=name, weights="random", input_size=SIZE, seed=seed, num_classes=7, kwargs=OPTIONS.get(name, {})
    )


def trained(name):
    """Where timm has none, another draw will do; a ResNet's branches begin at zero and need a training."""
    if name != "test_resnet":
        return make(name, 0)
    return load_classifier(name=name, weights="bundled", input_size=SIZE)


def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", NAMES)
def test_blocks_share_out_the_network_from_the_head_down(name):
    classifier = make(name, 0)
    found = blocks(classifier)
    keys = [key for part in found.values() for key in part]
    assert sorted(keys) == sorted(classifier.module.state_dict())
    assert next(iter(found)) == "head"
    assert list(found)[-1] == "stem"
    assert [stage for stage in reversed(classifier.stage_names) if stage in found] == list(found)[1:-1]
    sets = [cascade(classifier, depth) for depth in range(len(found) + 1)]
    assert sets[0] == set()
    assert sets[-1] == cascade(classifier, "all") == set(classifier.module.state_dict())
    assert all(less < more for less, more in pairwise(sets))


def test_blocks_of_a_resnet():
    found = blocks(make("test_resnet", 0))
    assert list(found) == ["head", "layer4", "layer3", "layer2", "layer1", "stem"]
    assert found["head"] == ("fc.weight", "fc.bias")
    assert {key.split(".")[0] for key in found["stem"]} == {"conv1", "bn1"}
    assert {key.split(".")[0] for key in found["layer3"]} == {"layer3"}
    assert "bn1.running_mean" in found["stem"]
    assert "bn1.num_batches_tracked" in found["stem"]


def test_what_follows_the_deepest_stage_is_part_of_it():
    assert {"conv_head.weight", "bn2.running_var"} < set(blocks(make("test_efficientnet", 0))["blocks.4"])
    assert "norm.weight" in blocks(make("test_vit", 0))["blocks.5"]
    assert {"cls_token", "pos_embed"} < set(blocks(make("test_vit", 0))["stem"])
    assert blocks(make("test_convnext", 0))["head"] == ("head.fc.weight", "head.fc.bias")
    two = blocks(make("deit_tiny_distilled_patch16_224", 0))["head"]
    assert set(two) == {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


def test_what_lies_between_two_stages_belongs_to_the_deeper():
    found = blocks(make("deit_tiny_distilled_patch16_224", 0))
    owners = {".".join(key.split(".")[:2]) for key in found["blocks.5"]}
    assert owners == {"blocks.3", "blocks.4", "blocks.5"}


def test_a_stage_without_parameters_is_left_out():
    classifier = make("vgg11_bn", 0)
    assert classifier.stage_names[0] not in blocks(classifier)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_each_depth_changes_the_logits(name):
    x, learnt = images(), trained(name)
    random = load_classifier(
        name=name, weights="random", input_size=SIZE, seed=1, num_classes=learnt.num_classes
    )
    depths = range(len(blocks(random)) + 1)
    logits = [apply_cascade(trained(name), random, depth)(x) for depth in depths]
    assert torch.equal(logits[0], learnt(x))
    assert torch.equal(logits[-1], random(x))
    assert torch.equal(apply_cascade(trained(name), random, "all")(x), random(x))
    for less, more in pairwise(logits):
        assert float((less - more).abs().max()) > 1e-4


def test_only_the_blocks_asked_for_are_taken():
    learnt, random, changed = make("test_resnet", 0), make("test_resnet", 1), make("test_resnet", 0)
    for key, tensor in random.module.state_dict().items():
        if key.endswith("running_mean"):
            tensor.add_(3)  # a layer's statistics go with its weights
    assert apply_cascade(changed, random, 2) is changed
    keys = cascade(learnt, 2)
    assert any("running_mean" in key for key in keys)
    for key, tensor in changed.module.state_dict().items():
        source = random if key in keys else learnt
        assert torch.equal(tensor, source.module.state_dict()[key]), key
    assert all(not p.requires_grad for p in changed.module.parameters())


def test_the_result_is_not_taken_for_the_trained_network():
    changed, random = make("test_resnet", 0), make("test_resnet", 1)
    before = changed.weights_digest
    assert apply_cascade(changed, random, 0).weights_digest == before
    assert changed.weights_source == "random(seed=0)"
    apply_cascade(changed, random, 1)
    assert changed.weights_digest == state_digest(changed.module.state_dict()) != before
    assert changed.weights_source == "random(seed=0), depth 1 of random(seed=1)"


@pytest.mark.parametrize("depth", [-1, 7, "some", 1.5, True])
def test_depths_are_counted_in_blocks(depth):
    with pytest.raises(UsageError, match=f"randomise={depth}: choose all or 0 to 6 .*head, layer4, layer3"):
        cascade(make("test_resnet", 0), depth)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="differ in their parameters"):
        apply_cascade(make("test_resnet", 0), make("test_vit", 0), 1)
    broken = make("test_resnet", 0)
    broken.stage_names = ("map0", *broken.stage_names[1:])
    with pytest.raises(UsageError, match="cannot be randomised block by block: no module 'map0'"):
        blocks(broken)


def test_a_network_that_names_no_classifier_is_refused():
    classifier = make("test_resnet", 0)
    classifier.module.get_classifier = None
    with pytest.raises(UsageError, match="block by block: it has no classifier"):
        blocks(classifier)
