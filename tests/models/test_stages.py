"""Which maps are the stages, that they are what the named modules put out, and how grids are restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasbench.errors import UsageError
from nasbench.models import load_classifier
from nasbench.models.stages import choose_stages, restore_grid
from tests.models.conftest import FAMILIES, Family, classifier_of, images

by_family = pytest.mark.parametrize("family", FAMILIES, ids=str)


def chosen(sizes: list[int], *, wanted: Any = None, size: int = 64) -> tuple[int, ...]:
    """Stages of a network that timm does not describe, with square maps of these sizes."""
    maps = [torch.zeros(1, 2, s, s) for s in sizes]
    return choose_stages(nn.Identity(), maps, input_size=(size, size), wanted=wanted).indices


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([32, 16, 8, 4, 2], (1, 2, 3, 4)),  # ResNet: the stem is left out
        ([64, 32, 16, 8, 4, 2], (2, 3, 4, 5)),  # VGG: two of them
        ([16, 16, 8, 8, 8], (1, 4)),  # the last at each resolution
        ([4] * 12, (2, 5, 8, 11)),  # ViT with 12 blocks
        ([4] * 6, (1, 2, 4, 5)),  # 1.5 and 4.5 blocks round up
        ([4] * 3, (0, 1, 2)),  # fewer blocks than parts
        ([4], (0,)),
        ([64, 32], (0, 1)),  # never reduced four times: all there is
    ],
)
def test_rule(sizes: list[int], expected: tuple[int, ...]) -> None:
    assert chosen(sizes) == expected


def test_rule_rounds_reductions_of_odd_inputs() -> None:
    assert chosen([149, 73, 35, 17, 8], size=299) == (1, 2, 3, 4)
    assert chosen([114, 57, 29, 15, 8], size=227) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("wanted", "expected"), [([0], (0,)), ([-1, 1], (1, 4)), ([4, 2, 0], (0, 2, 4)), ([-5], (0,))]
)
def test_wanted_positions_come_shallow_to_deep(wanted: list[int], expected: tuple[int, ...]) -> None:
    assert chosen([32, 16, 8, 4, 2], wanted=wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([5], "5 is not a position from -5 to 4"),
        ([-6], "-6 is not a position from -5 to 4"),
        ([1.5], "1.5 is not a position"),
        ([True], "True is not a position"),
        ([1, 1], "names a map twice"),
        ([-1, 4], "names a map twice"),
        ([], "give null or a list"),
        ("layer1", "give null or a list"),
        (3, "give null or a list"),
    ],
)
def test_wrong_positions_are_refused(wanted: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        chosen([32, 16, 8, 4, 2], wanted=wanted)
    assert "\n" not in str(caught.value)


def test_the_stem_is_reachable_and_final_does_not_depend_on_the_stages() -> None:
    x = images(1, (64, 64))
    ruled = load_classifier(name="test_resnet", weights="random", input_size=64)
    stem = load_classifier(name="test_resnet", weights="random", input_size=64, stages=[0, 2])
    assert stem.stage_names == ("act1", "layer2")
    assert stem.features(x).stages[0].shape == (1, 32, 32, 32)
    assert torch.equal(stem.features(x).stages[1], ruled.features(x).stages[1])
    assert torch.equal(stem.features(x).final, ruled.features(x).final)
    shallow_vit = load_classifier(name="test_vit", weights="random", input_size=64, stages=[0])
    assert shallow_vit.features(x).final.shape == (1, 64, 4, 4)


@by_family
def test_stages_are_what_the_named_modules_put_out(family: Family) -> None:
    classifier = classifier_of(family)
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _module, _args, out: seen.update({name: out.clone()})

    handles = [
        classifier.module.get_submodule(n).register_forward_hook(keep(n)) for n in classifier.stage_names
    ]
    try:
        stages = classifier.features(images(2, family.size)).stages
    finally:
        for handle in handles:
            handle.remove()
    for name, stage in zip(classifier.stage_names, stages, strict=True):
        out = seen[name]
        if out.ndim == 3:
            # A token grid, read here position by position and not by a reshape.
            w = stage.shape[3]
            for y, x in ((0, 0), (0, w - 1), (stage.shape[2] - 1, 1)):
                assert torch.equal(stage[:, :, y, x], out[:, family.prefix + y * w + x])
        elif "swin" in family.name:
            assert torch.equal(stage, out.permute(0, 3, 1, 2))
        else:
            assert torch.equal(stage, out)


@by_family
def test_later_layers_do_not_rewrite_a_stage(family: Family) -> None:
    classifier = classifier_of(family)
    x = images(1, family.size)
    for i, stage in zip(classifier.stage_indices, classifier.features(x).stages, strict=True):
        with torch.no_grad():
            (alone,) = classifier.module.forward_intermediates(  # type: ignore[operator]
                classifier._normalised(x), indices=[i], stop_early=True, intermediates_only=True
            )
        assert torch.equal(stage, alone)


@by_family
def test_final_is_what_the_head_reads(family: Family) -> None:
    classifier = classifier_of(family)
    out = classifier.features(images(2, family.size))
    head = classifier.module.forward_head
    if (
        family.prefix == 0
        and len(family.stages)
        and "swin" not in family.name
        and "relpos" not in family.name
    ):
        fed = out.final
    elif "swin" in family.name:
        fed = out.final.permute(0, 2, 3, 1)
    elif "relpos" in family.name:
        fed = out.final.flatten(2).transpose(1, 2)
    else:
        # The class tokens are gone; what is left of the deepest block is normed as the head sees it.
        normed = classifier.module.norm(out.stages[-1].permute(0, 2, 3, 1))  # type: ignore[operator]
        torch.testing.assert_close(out.final, normed.permute(0, 3, 1, 2), rtol=1e-5, atol=1e-5)
        return
    torch.testing.assert_close(head(fed), out.logits, rtol=1e-5, atol=1e-5)  # type: ignore[operator]


class Declared(nn.Module):
    """A network that declares a number of prefix tokens and a layout, and nothing else."""

    def __init__(self, prefix: int | None, output_fmt: str = "NCHW") -> None:
        super().__init__()
        self.num_prefix_tokens = prefix
        self.output_fmt = output_fmt


def test_restored_grids_by_hand() -> None:
    grid = torch.arange(12.0).view(1, 2, 2, 3)  # C = 2, h = 2, w = 3
    tokens = torch.cat([torch.full((1, 2, 2), 99.0), grid.flatten(2).transpose(1, 2)], dim=1)
    for declared in (None, 2):
        assert torch.equal(restore_grid(tokens, (2, 3), Declared(declared), name="n"), grid)
    assert torch.equal(restore_grid(grid, (2, 3), Declared(None), name="n"), grid)
    channels_last = grid.permute(0, 2, 3, 1)
    assert torch.equal(restore_grid(channels_last, (2, 3), Declared(None, "NHWC"), name="n"), grid)


@pytest.mark.parametrize(
    ("final", "declared"),
    [
        (torch.zeros(1, 8, 2), 1),  # two tokens too many for one declared
        (torch.zeros(1, 1, 2), None),  # a class token alone
        (torch.zeros(1, 2), None),  # pooled already
        ([torch.zeros(1, 7, 2), torch.zeros(1, 7, 2)], None),  # two branches
    ],
)
def test_what_is_no_grid_is_refused(final: Any, declared: int | None) -> None:
    with pytest.raises(UsageError, match="n is not supported"):
        restore_grid(final, (2, 3), Declared(declared), name="n")
