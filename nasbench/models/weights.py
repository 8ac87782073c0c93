"""Checkpoints: reading them without running them, fitting them to a network, and their digest."""

from __future__ import annotations

import difflib
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasbench.digest import digest_bytes, digest_value
from nasbench.errors import WeightsError
from nasbench.models.pickles import suspect_global

PICKLED = (".pth", ".pt", ".bin")
ACCEPTED = (".safetensors", *PICKLED)
BUNDLED = "rendered"

_WRAPPERS = ("state_dict", "model", "model_state")
_LISTED = 5  # keys named per complaint; the count says how many more there are


def load_state(path_or_name: str) -> dict[str, Tensor]:
    """Read a checkpoint as a flat mapping of names to CPU tensors, floats as float32, integers kept.

    `.safetensors`, or `.pth`, `.pt`, `.bin` read without running what is pickled in them; one level of
    `state_dict`, `model` or `model_state` is unwrapped and a prefix `module.` common to all keys dropped.
    Values are not judged: NaN and infinity pass.

    Args:
        path_or_name: a file, `bundled` (the checkpoint of the rendered dataset) or `bundled:<preset>`.

    Raises:
        WeightsError: one line that names the file as given: missing, unreadable, of another format, damaged,
            holding code, or not a mapping of names to tensors.
    """
    if path_or_name.partition(":")[0] == "bundled":
        return _bundled(path_or_name.partition(":")[2] or BUNDLED)
    return _read(Path(path_or_name).expanduser(), shown=path_or_name)


def fit_state(module: nn.Module, state: Mapping[str, Tensor], *, model: str, shown: str) -> None:
    """Copy a checkpoint into a network, in place; nothing is copied unless everything fits.

    Batch normalisation's `num_batches_tracked` may be missing: it plays no part in evaluation.

    Args:
        module: the network.
        state: parameters and buffers by name.
        model: the network's name, for the message.
        shown: the checkpoint as the user named it, for the message.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape; one line lists the first five of each.
    """
    expected = module.state_dict()
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in expected]
    misshapen = [
        f"{k} {tuple(state[k].shape)} for {tuple(t.shape)}"
        for k, t in expected.items()
        if k in state and state[k].shape != t.shape
    ]
    complaints = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    found = [f"{len(keys)} {what} ({_listed(keys)})" for what, keys in complaints.items() if keys]
    if found:
        raise WeightsError(f"{shown} does not fit {model}: keys {'; '.join(found)}")
    module.load_state_dict(dict(state), strict=False)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Digest of names, dtypes, shapes and bytes; order, device and memory format do not matter."""
    return digest_value(
        [
            [name, str(t.dtype), list(t.shape), digest_bytes(_raw(t))]
            for name, t in sorted(state.items(), key=lambda item: item[0])
        ]
    )


def _raw(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _bundled(preset: str) -> dict[str, Tensor]:
    resource = resources.files("nasbench.models").joinpath("bundled", f"{preset}.safetensors")
    if not resource.is_file():
        raise WeightsError(f"bundled checkpoint {preset!r} is not part of this installation of nasbench")
    with resources.as_file(resource) as path:
        return _read(path, shown=f"bundled:{preset}")


def _read(path: Path, *, shown: str) -> dict[str, Tensor]:
    suffix = path.suffix.lower()
    if suffix not in ACCEPTED:
        raise WeightsError(
            f"{shown}: {suffix or 'no suffix'} is not a checkpoint; accepted: {', '.join(ACCEPTED)}"
        )
    if path.is_dir():
        raise WeightsError(f"{shown} is a folder, not a checkpoint")
    if not path.exists():
        raise WeightsError(f"{shown} does not exist{_near(path)}")
    try:
        loaded = _unpickle(path, shown=shown) if suffix in PICKLED else _read_safetensors(path)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{shown} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file may make its reader raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{shown} is damaged or not a {suffix} file: {reason[:200]}") from error
    return _plain_state(loaded, shown=shown)


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    state: dict[str, Tensor] = load_file(path, device="cpu")
    return state


def _unpickle(path: Path, *, shown: str) -> Any:
    """The pickled value, where it is made of tensors and plain containers. Raises WeightsError on more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of unusual pickle protocols: whatever is refused is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch names the global where its reader gets that far; a plain pickle stops it at an unknown opcode.
        named = re.search(r"GLOBAL (\S+)", str(error))
        asked = suspect_global(path, refused=named.group(1) if named else None)
        if asked is None:
            raise WeightsError(
                f"{shown} is damaged or not a {path.suffix} file: no pickled tensors"
            ) from error
        raise WeightsError(
            f"{shown} is refused: it asks to run {asked}, and only tensors are read; the code was not run "
            "(save its state_dict alone, best as .safetensors)"
        ) from error


def _plain_state(loaded: Any, *, shown: str) -> dict[str, Tensor]:
    """One flat mapping, unwrapped and with floats as float32. Raises WeightsError."""
    if isinstance(loaded, Mapping):
        wrapped = [loaded[k] for k in _WRAPPERS if isinstance(loaded.get(k), Mapping)]
        loaded = wrapped[0] if wrapped else loaded
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(
            f"{shown} holds no state_dict: a {type(loaded).__name__}, not a mapping of names to tensors"
        )
    for key, value in loaded.items():
        if not isinstance(key, str) or not _is_plain(value):
            raise WeightsError(
                f"{shown} holds no state_dict: {key!r} is a {type(value).__name__}, not a plain tensor"
            )
    prefix = "module." if all(k.startswith("module.") for k in loaded) else ""
    return {
        k.removeprefix(prefix): v.detach().to(torch.float32) if v.is_floating_point() else v.detach()
        for k, v in loaded.items()
    }


def _is_plain(value: Any) -> bool:
    """Whether a value is a dense, unquantised tensor of real numbers that holds its data."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
    )


def _near(path: Path) -> str:
    """A hint at a checkpoint of similar name in the same folder, or at the lack of the folder."""
    if not path.parent.is_dir():
        return ": there is no such folder"
    names = sorted(_checkpoints(path.parent))
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _checkpoints(folder: Path) -> Iterator[str]:
    try:
        yield from (p.name for p in folder.iterdir() if p.suffix.lower() in ACCEPTED)
    except OSError:  # a folder that may not be listed: no hint
        return


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:_LISTED]) + (", ..." if len(keys) > _LISTED else "")
