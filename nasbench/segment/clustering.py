"""Clusterings that many images share: centroids on a frozen scale, and the file they are kept in.

Cluster i is the same cluster in every image, which is what class and dataset scope are for. One file holds
several clusterings, for instance one per class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nasbench.atomic import write_atomic
from nasbench.digest import canonical_json, digest_bytes
from nasbench.errors import UsageError
from nasbench.segment.kmeans import assign
from nasbench.segment.scale import FrozenScale
from nasbench.segment.virtual import VirtualFeatures

# What a file calls itself, and the one key of its header: safetensors writes several in random order, which
# would make equal contents differ in their bytes.
_FORMAT = "nasbench clusterings"
_KEY = "nasbench"
_VERSION = 1


@dataclass(frozen=True)
class Clustering:
    """A clustering of all positions of all images of a stream.

    Attributes:
        scale: brings an image's stages to where the centroids are.
        centroids: (k, ΣC) float32, on that scale.
        counts: (k,) int64, positions per cluster in the last assignment.
        inertia: summed squared distance in that assignment, to the centroids it was made with: those before
            the last update.
        n_images: images in the stream.
        n_iter: passes over the images (assign, update).
        metadata: whatever the caller wants to be remembered.
    """

    scale: FrozenScale
    centroids: Tensor
    counts: Tensor
    inertia: float
    n_images: int
    n_iter: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    def labels(self, stages: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The nearest centroid at each position of size (H, W), (B, H, W) int64 in 0..k-1; not renumbered.

        `stages` (B, C_l, h_l, w_l) are as the network gives them. Raises ValueError for NaN or infinite
        activations and for stages of another network.
        """
        features = VirtualFeatures.of(self.scale.apply(stages), size)
        return torch.cat([part.labels for part in nearest(features, self.centroids)])


class Assigned(NamedTuple):
    """Some images' assignment, around their mean.

    Attributes:
        features: b images less their mean.
        mean: (b, ΣC), that mean.
        labels: (b, H, W) int64, the nearest centroid; the lower index wins a tie.
        score: (b, H, W), ‖x − c‖² − ‖x‖² of the centred x and c.
    """

    features: VirtualFeatures
    mean: Tensor
    labels: Tensor
    score: Tensor


def nearest(features: VirtualFeatures, centroids: Tensor) -> Iterator[Assigned]:
    """Assign every position to the nearest of centroids (k, ΣC), a few images at a time, in their order."""
    # One image's maps fit into a processor's cache, a batch's do not: see `factored_kmeans`.
    alone = features.stages[0].device.type == "cpu"
    parts = (features.image(i) for i in range(features.batch)) if alone else iter((features,))
    for part in parts:
        # Around the image's mean ‖x‖² − 2⟨x, c⟩ + ‖c‖² loses fewer digits.
        centred, mean = part.centred()
        around = (centroids.to(mean.device).double() - mean.double()[:, None]).to(mean.dtype)
        labels, score = assign(centred, around)
        yield Assigned(centred, mean, labels, score)


def write_clusterings(
    path: Path, clusterings: Mapping[str, Clustering], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named clusterings and `metadata` as one safetensors file; equal contents give equal bytes.

    The file is there whole or not at all. Raises OSError and then leaves what was there before.
    """
    from safetensors.torch import save

    tensors = {}
    described = {}
    for name, clustering in clusterings.items():
        described[name] = {
            "channels": list(clustering.scale.channels),
            "inertia": float(clustering.inertia),
            "n_images": clustering.n_images,
            "n_iter": clustering.n_iter,
            "metadata": dict(clustering.metadata),
        }
        for part, tensor, dtype in (
            ("mean", clustering.scale.mean, torch.float32),
            ("factors", clustering.scale.factors, torch.float32),
            ("centroids", clustering.centroids, torch.float32),
            ("counts", clustering.counts, torch.int64),
        ):
            # Clusterings may share one scale; safetensors refuses tensors that share memory.
            copy = tensor.detach().to("cpu", dtype, copy=True)
            tensors[f"{name}/{part}"] = copy.contiguous()
    header: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "clusterings": described,
        "metadata": dict(metadata or {}),
    }
    header["digest"] = _digest(header, tensors)
    write_atomic(path, save(tensors, metadata={_KEY: canonical_json(header)}))


def read_clusterings(path: Path) -> tuple[dict[str, Clustering], dict[str, str]]:
    """The clusterings by name, and the metadata, that `write_clusterings` wrote.

    Raises UsageError, naming the file, where it is missing, damaged, or none of ours.
    """
    header, tensors = _read(path)
    found = {}
    for name, described in header["clusterings"].items():
        found[name] = Clustering(
            scale=FrozenScale(
                mean=tensors[f"{name}/mean"],
                factors=tensors[f"{name}/factors"],
                channels=tuple(described["channels"]),
            ),
            centroids=tensors[f"{name}/centroids"],
            counts=tensors[f"{name}/counts"],
            inertia=float(described["inertia"]),
            n_images=described["n_images"],
            n_iter=described["n_iter"],
            metadata=described["metadata"],
        )
    return found, header["metadata"]


def kept_clusterings(path: str | Path) -> Mapping[str, Clustering]:
    """The clusterings of a file, read again only when it has changed. Raises UsageError."""
    place = Path(path).expanduser()
    try:
        stat = place.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return _kept(place, (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=4)
def _kept(path: Path, _stamp: tuple[int, ...]) -> Mapping[str, Clustering]:
    return read_clusterings(path)[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's header and tensors, checked against their digest."""
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file of clusterings")
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _header(path, (file.metadata() or {}).get(_KEY))
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no dict
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} is damaged or not a safetensors file: {reason[:200]}") from error
    expected = header.pop("digest", None)
    if _digest(header, tensors) != expected:
        raise UsageError(f"{path} is damaged: its contents do not match their digest")
    return header, tensors


def _header(path: Path, text: str | None) -> dict[str, Any]:
    """The header, of this format and version."""
    try:
        header = json.loads(text or "null")
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise UsageError(f"{path} is a safetensors file of something else: it holds no clusterings")
    if header.get("version") != _VERSION:
        raise UsageError(
            f"{path} has format version {header.get('version')}; this nasbench reads version {_VERSION}"
        )
    return header


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Digest of everything a file says."""
    chunks = [canonical_json(header).encode()]
    for name in sorted(tensors):
        tensor = tensors[name]
        described = canonical_json([name, str(tensor.dtype), list(tensor.shape)])
        chunks += [described.encode(), tensor.numpy().tobytes()]
    return digest_bytes(*chunks)
