"""Checkpoints: what is read, what is refused and in which words, and what the digest depends on."""

from __future__ import annotations

import argparse
import os
import pickle
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from nasbench.errors import NasbenchError, UsageError, WeightsError
from nasbench.models import Classifier, load_classifier
from nasbench.models.weights import fit_state, load_state, state_digest
from tests.support.realdata import realdata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATE = {
    "w": torch.tensor([[1.0, -2.5], [0.0, 3.0]]),
    "b": torch.tensor([0.5, float("nan")]),
    "n": torch.tensor(7),
}


def tiny(**options: Any) -> Classifier:
    defaults: dict[str, Any] = {"name": "test_resnet", "weights": "random", "input_size": 64}
    return load_classifier(**(defaults | options))


def tiny_state(seed: int = 0, **options: Any) -> dict[str, Tensor]:
    return dict(tiny(seed=seed, **options).module.state_dict())


def refused(path: Path | str, *, error: type[NasbenchError] = WeightsError) -> str:
    """The one line with which a checkpoint is refused."""
    with pytest.raises(error) as caught:
        load_state(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_same(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(state) == list(expected) or set(state) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_safetensors_floats_become_float32_and_integers_stay(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "w.safetensors"
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in STATE.items()}, path)
    assert_same(load_state(str(path)), STATE)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".PTH"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        OrderedDict,
        lambda s: {"state_dict": s, "epoch": 3, "note": "fine"},
        lambda s: {"model": OrderedDict(s)},
        lambda s: {"model_state": s, "best": 0.5},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in s.items()},
    ],
)
def test_pickled_tensors_are_read(tmp_path: Path, suffix: str, wrap: Callable[[Any], Any]) -> None:
    path = tmp_path / f"w{suffix}"
    torch.save(wrap(STATE), path)
    loaded = load_state(str(path))
    assert_same(loaded, STATE)
    assert not any(t.requires_grad for t in loaded.values())


def test_a_prefix_not_common_to_all_keys_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"module.w": STATE["w"], "b": STATE["b"]}, path)
    assert set(load_state(str(path))) == {"module.w", "b"}


class RunsOnLoad:
    """Unpickled naively, this creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.target}",)


class Evaluates(RunsOnLoad):
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, (f"open({str(self.target)!r}, 'w')",)


def save_legacy(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_pickle(protocol: int) -> Callable[[Any, Path], None]:
    def write(value: Any, path: Path) -> None:
        path.write_bytes(pickle.dumps(value, protocol=protocol))

    return write


WRITERS: list[Callable[[Any, Path], None]] = [torch.save, save_legacy, *(save_pickle(p) for p in range(6))]


@pytest.mark.parametrize("write", WRITERS, ids=["zip", "legacy", *(f"protocol {p}" for p in range(6))])
@pytest.mark.parametrize(
    ("code", "said"), [(RunsOnLoad, f"{os.system.__module__}.system"), (Evaluates, "eval")]
)
def test_code_is_refused_by_name_and_not_run(
    tmp_path: Path, write: Callable[[Any, Path], None], code: type[RunsOnLoad], said: str
) -> None:
    path, target = tmp_path / "evil.pth", tmp_path / "was-here"
    write(OrderedDict(w=STATE["w"], x=code(target)), path)
    message = refused(path)
    assert str(path) in message
    assert f"asks to run {said}," in message.replace("builtins.", "")
    assert not target.exists()


def test_a_repeated_module_name_is_followed_through_the_memo(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    # The second global's module and name come from the memo; the string pushed last is a decoy.
    path.write_bytes(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940\x8c\x05decoy0h\x00h\x01\x93.")
    assert "asks to run os.system," in refused(path)


def test_harmless_objects_are_refused_by_name_too(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"state_dict": STATE, "args": argparse.Namespace(lr=0.1)}, path)
    assert "asks to run argparse.Namespace," in refused(path)
    torch.save(torch.nn.Linear(2, 2), path)
    assert "asks to run torch.nn.modules.linear.Linear," in refused(path)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".onnx", ".pkl", ""])
def test_other_formats_are_refused_with_the_accepted_ones(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"whatever")
    message = refused(path)
    assert (suffix or "no suffix") in message
    assert ".safetensors, .pth, .pt, .bin" in message


def test_arrays_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.array([RunsOnLoad(tmp_path / "was-here")], dtype=object), allow_pickle=True)
    assert ".npy" in refused(path)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(tiny_state(), path)
    else:
        save_file(tiny_state(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert f"{path} is damaged or not a {suffix} file" in refused(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
@pytest.mark.parametrize(
    "data", [b"garbage", b"\x80", b"PK\x03\x04 not a zip", bytes(range(256)) * 9, b"{}" * 50]
)
def test_garbage_is_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(data)
    assert str(path) in refused(path)


def test_a_missing_file_brings_up_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "resnet50.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    assert refused(tmp_path / "resnet5O.pth").endswith("did you mean resnet50.safetensors?")
    assert refused(tmp_path / "zzz.pth").endswith("zzz.pth does not exist")
    assert refused(tmp_path / "nowhere" / "w.pth").endswith("there is no such folder")


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "w.pth").mkdir()
    assert "is a folder" in refused(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([STATE["w"]], "a list, not a mapping"),
        ({}, "a dict, not a mapping of names"),
        ({"w": 1.0}, "'w' is a float"),
        ({3: STATE["w"]}, "3 is a Tensor"),
        ({"w": STATE["w"].to_sparse()}, "not a plain tensor"),
        ({"w": torch.complex(STATE["w"], STATE["w"])}, "not a plain tensor"),
        ({"w": torch.empty(2, device="meta")}, "not a plain tensor"),
        ({"a": {"state_dict": STATE}}, "'a' is a dict"),
    ],
)
def test_pickles_without_a_state_dict_are_refused(tmp_path: Path, value: Any, said: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(value, path)
    assert said in refused(path)


def test_keys_that_do_not_fit_are_listed() -> None:
    state = tiny_state()
    before = state_digest(state)
    other = {k: v for k, v in state.items() if not k.startswith("layer1")}
    dropped = [k for k in state if k.startswith("layer1") and not k.endswith("num_batches_tracked")]
    other |= {"extra.w": torch.zeros(1), "conv1.bias": torch.zeros(2)}
    other["fc.weight"] = torch.zeros(1000, 5)
    module = tiny().module
    with pytest.raises(WeightsError) as caught:
        fit_state(module, other, model="test_resnet", shown="w.pth")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("w.pth does not fit test_resnet: keys ")
    assert f"{len(dropped)} missing ({', '.join(dropped[:5])}, ...)" in message
    assert "2 unexpected (extra.w, conv1.bias)" in message
    assert "1 of another shape (fc.weight (1000, 5) for (1000, 96))" in message
    assert state_digest(module.state_dict()) == before


def test_keys_are_checked_when_a_classifier_is_loaded(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit resnet18: keys .* missing .* unexpected"):
        tiny(name="resnet18", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(WeightsError, match=r"fc\.weight \(1000, 96\) for \(10, 96\)"):
        tiny(weights=str(tmp_path / "w.safetensors"), num_classes=10)


def test_counts_of_batches_may_be_missing(tmp_path: Path) -> None:
    state = {k: v for k, v in tiny_state(1).items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "w.safetensors")
    assert tiny(weights=str(tmp_path / "w.safetensors")).weights_digest == tiny(seed=1).weights_digest


def test_a_vit_of_another_size_says_what_does_not_fit(tmp_path: Path) -> None:
    save_file(tiny_state(name="test_vit", input_size=64), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"1 of another shape \(pos_embed"):
        tiny(name="test_vit", weights=str(tmp_path / "w.safetensors"), input_size=96)


def test_a_vit_of_another_size_may_resample_its_positions(tmp_path: Path) -> None:
    save_file(tiny_state(name="test_vit", input_size=160), tmp_path / "w.safetensors")
    kept = {
        "name": "test_vit",
        "weights": str(tmp_path / "w.safetensors"),
        "kwargs": {"dynamic_img_size": True},
    }
    classifier = tiny(**kept, input_size=[64, 96])
    assert classifier.weights_digest == tiny(**kept, input_size=160).weights_digest
    assert classifier.features(torch.zeros(1, 3, 64, 96)).final.shape == (1, 64, 4, 6)


def test_the_digest_is_of_the_values_alone(tmp_path: Path) -> None:
    state = tiny_state(5)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    rounded = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"state_dict": dict(reversed(state.items()))}, tmp_path / "b.pth")
    save_file(halves, tmp_path / "half.safetensors")
    torch.save(rounded, tmp_path / "rounded.pt")
    digest = {p.name: tiny(weights=str(p)).weights_digest for p in tmp_path.iterdir()}
    assert digest["a.safetensors"] == digest["b.pth"] == tiny(seed=5).weights_digest
    assert digest["half.safetensors"] == digest["rounded.pt"] != digest["a.safetensors"]


@pytest.mark.parametrize("key", ["conv1.0.weight", "bn1.running_mean", "fc.bias"])
def test_the_digest_sees_every_value(key: str) -> None:
    state = tiny_state()
    changed = state | {key: state[key].clone()}
    changed[key].view(-1)[0] += 1e-6
    assert state_digest(changed) != state_digest(state)


def test_the_digest_sees_names_dtypes_and_shapes() -> None:
    zeros = torch.zeros(2, 3)
    variants = [
        {"a": zeros},
        {"b": zeros},
        {"a": zeros.view(3, 2)},
        {"a": zeros.int()},
        {"a": zeros, "b": zeros},
        {},
    ]
    assert len({state_digest(v) for v in variants}) == len(variants)
    strided = torch.arange(6.0).view(2, 3).t()
    assert state_digest({"a": strided}) == state_digest({"a": strided.contiguous()})


def test_source_is_a_name_and_never_a_path(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "w.safetensors")
    classifier = tiny(weights=str(tmp_path / "w.safetensors"))
    assert classifier.weights_source == "w.safetensors"
    assert str(tmp_path) not in repr(classifier.describe())
    assert tiny(seed=4).weights_source == "random(seed=4)"


def test_random_weights_follow_the_seed_and_leave_the_global_one() -> None:
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    first, again, other = tiny(seed=1), tiny(seed=1), tiny(seed=2)
    assert torch.equal(torch.rand(4), expected)
    assert first.weights_digest == again.weights_digest != other.weights_digest


def test_reading_a_file_leaves_the_global_random_state(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "w.safetensors")
    before = torch.get_rng_state()
    tiny(weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "size"), [("test_resnet", 64), ("deit_tiny_distilled_patch16_224", 32)])
def test_classes_come_from_the_checkpoint(tmp_path: Path, name: str, size: int) -> None:
    state = tiny_state(name=name, input_size=size, num_classes=7)
    save_file(state, tmp_path / "w.safetensors")
    assert tiny(name=name, input_size=size, weights=str(tmp_path / "w.safetensors")).num_classes == 7
    assert tiny(name=name, input_size=size).num_classes == 1000
    assert tiny(name=name, input_size=size, num_classes=3).num_classes == 3


def test_nan_in_the_weights_is_not_judged_here(tmp_path: Path) -> None:
    state = tiny_state()
    state["fc.bias"] = torch.full_like(state["fc.bias"], float("nan"))
    save_file(state, tmp_path / "w.safetensors")
    assert tiny(weights=str(tmp_path / "w.safetensors"))(torch.zeros(1, 3, 64, 64)).isnan().all()


def test_a_bundled_checkpoint_that_is_not_there() -> None:
    assert refused("bundled:nonesuch") == (
        "bundled checkpoint 'nonesuch' is not part of this installation of nasbench"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"weights": None},
            r"model\.weights is not set: give a \.safetensors or \.pth file, `hub` .* or `random`",
        ),
        ({"name": "resnet51"}, "'resnet51' is not a timm model; near: resnet"),
        ({"name": "hf-hub:timm/resnet50"}, "not a timm model; near: resnet50"),
        ({"name": "convnextv2"}, "near: .*convnextv2_"),
        ({"name": ""}, "'' is not a timm model$"),
        ({"name": "resnet50.nonesuch"}, r"Invalid pretrained tag \(nonesuch\).* It has: .*a1_in1k"),
        ({"kwargs": {"nonesuch": 1}}, "test_resnet refuses model.kwargs .*nonesuch"),
        ({"kwargs": {"act_layer": "nonesuch"}}, "test_resnet cannot be built with model.kwargs"),
        ({"kwargs": {"pretrained": True}}, r"model\.kwargs\.pretrained is not taken: set model\.weights"),
        ({"kwargs": {"checkpoint_path": "x.pth"}}, r"model\.kwargs\.checkpoint_path is not taken"),
        ({"kwargs": {"img_size": 64}}, r"model\.kwargs\.img_size is not taken: set model\.input_size"),
        ({"num_classes": 0}, "num_classes=0 is not a positive number"),
        ({"num_classes": True}, "num_classes=True"),
        ({"input_size": 0}, "input_size=0: give"),
        ({"input_size": [64]}, "input_size="),
        ({"input_size": "64"}, "input_size='64'"),
        ({"input_size": 64.0}, "input_size=64.0"),
        ({"mean": [0.5]}, r"mean=\[0.5\]: give three numbers"),
        ({"mean": 0.5}, "mean=0.5: give three numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean="),
        ({"std": [0.5, 0.5, 0.0]}, "std=.*: give three positive numbers"),
        ({"name": "test_vit", "input_size": 8}, "8"),
        ({"stages": [9]}, "9 is not a position from -5 to 4"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        tiny(**options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the network was reached")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
def test_only_hub_reaches_the_network(tmp_path: Path) -> None:
    save_file(tiny_state(), tmp_path / "w.safetensors")
    tiny(weights=str(tmp_path / "w.safetensors"))
    load_classifier(name="resnet18.a1_in1k", weights="random", input_size=64)


@pytest.mark.usefixtures("_no_network")
def test_hub_respects_being_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("test_resnet", "resnet18.tv_in1k"):
        with pytest.raises(WeightsError, match=f"timm's weights of {name} could not be fetched") as caught:
            load_classifier(name=name, weights="hub", input_size=64)
        assert "\n" not in str(caught.value)


def test_a_failing_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, pretrained: bool, **__: object) -> NoReturn:
        assert pretrained
        raise ConnectionError("no route\nmany more lines")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(WeightsError, match=r"of test_resnet could not be fetched: no route$"):
        tiny(weights="hub")


def test_hub_does_not_hand_out_a_random_head() -> None:
    with pytest.raises(UsageError, match="num_classes=7: timm's own weights have 1000 classes"):
        tiny(weights="hub", num_classes=7)


def test_hub_without_weights_says_so() -> None:
    bare = next(n for n in timm.list_models() if not timm.get_pretrained_cfg(n).has_weights)
    with pytest.raises(WeightsError, match=f"timm has no weights of {bare}"):
        load_classifier(name=bare, weights="hub")


REAL = [
    ("resnet50", "resnet50", 1000, {}),
    ("resnet18", "resnet18", 1000, {}),
    ("mobilenetv2_100", "mobilenetv2_100", 1000, {"pad_type": "same"}),
    ("mobilenetv2_100_inat_bird", "mobilenetv2_100", 965, {"pad_type": "same"}),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("file", "name", "classes", "kwargs"), REAL, ids=[r[0] for r in REAL])
def test_real_weights_load_and_yield_finite_logits(
    file: str, name: str, classes: int, kwargs: dict[str, Any]
) -> None:
    root = realdata()
    classifier = load_classifier(
        name=name, weights=str(root / "weights" / f"{file}.safetensors"), input_size=224, kwargs=kwargs
    )
    assert classifier.num_classes == classes
    assert classifier.weights_source == f"{file}.safetensors"
    with Image.open(min((root / "imagenet").rglob("*.JPEG"))) as image:
        pixels = np.asarray(image.convert("RGB").resize((224, 224)), np.float32) / 255
    out = classifier.features(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert out.logits.shape == (1, classes)
    for t in (out.logits, out.final, *out.stages):
        assert t.isfinite().all()
