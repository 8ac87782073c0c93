"""Exact k-means over the positions of many images, one batch in memory at a time.

What Lloyd's algorithm needs of the images are sums over their positions, and sums merge: `partial_sums` of
batches add up to those of the whole stream, `moments` likewise. A fit is a pass for the scale and a small
sample, a start on the sample, and one pass per step. The result is Lloyd's on the concatenated matrix of all
images up to rounding; neither the images' order nor their batching plays a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasbench.rng import derive_seed
from nasbench.segment.activations import Scaling
from nasbench.segment.clustering import Clustering, nearest
from nasbench.segment.kmeans import cluster_sums
from nasbench.segment.sample import Sample
from nasbench.segment.scale import FrozenScale, Moments, image_moments
from nasbench.segment.start import start_weights
from nasbench.segment.virtual import VirtualFeatures

# Gives the same images at each call, in batches of (B ids, stages (B, C_l, h_l, w_l)).
Batches = Callable[[], Iterable[tuple[Sequence[str], Sequence[Tensor]]]]

# Vectors in the sample at least, and per cluster; its inner products take 4 bytes a pair.
_SAMPLE = 512
_PER_CLUSTER = 32
# A pass that changes the inertia by less than this share is the last.
_TOLERANCE = 1e-6


def fit_stream(
    batches: Batches,
    size: tuple[int, int],
    *,
    k: int,
    scaling: Scaling = "variance",
    weights: Sequence[float] | None = None,
    max_iter: int = 5,
    seed: int = 0,
    sample_per_image: int | None = None,
    max_sample: int | None = None,
    init: Tensor | None = None,
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Clustering:
    """Cluster the H × W grids of upsampled, concatenated stages of all images at once.

    Args:
        batches: called once a pass, 1 + `max_iter` times at most; gives the same images, with distinct ids,
            in any order. The stages are as the network gives them.
        size: (H, W), the target grid.
        k: number of clusters, at least 1.
        scaling: "variance" or "none", see `Moments.scale`.
        weights: one per stage, of its squared distances; None is 1.
        max_iter: (assign, update) passes at most, at least 1. It ends before where the centroids stay or the
            inertia changes by less than a millionth.
        seed: with the images' ids, decides the sample and the start.
        sample_per_image: positions drawn from each image at most; None draws as many as the sample holds, so
            that a few images fill it too.
        max_sample: vectors the start is made from at most; None is max(512, 32·k). Memory grows with its
            square.
        init: (k, ΣC) starting centroids on the frozen scale, instead of k-means++ and 20 steps on the sample.
        metadata: kept in the result.
        progress: told in a few words which pass has begun.

    Raises:
        ValueError: NaN or infinite activations, naming the image; no images; stages or values that do not
            fit; images that differ from pass to pass.
    """
    most = max(_SAMPLE, _PER_CLUSTER * k) if max_sample is None else max_sample
    per_image = most if sample_per_image is None else sample_per_image
    least = {
        "k": (k, 1),
        "max_iter": (max_iter, 1),
        "sample_per_image": (per_image, 1),
        "max_sample": (most, k),
    }
    for name, (value, bound) in least.items():
        if value < bound:
            raise ValueError(f"{name} is {value}; it must be at least {bound}")
    progress("measuring the activations' scale")
    sample = Sample(most, per_image=per_image, seed=seed) if init is None else None
    seen = _first_pass(batches, size, sample)
    scale = seen.scale(scaling, weights)
    if sample is not None:
        centroids = _start(scale, sample.vectors(), k, seed)
    else:
        assert init is not None
        _check_centroids(init, (k, sum(seen.channels)))
        centroids = init.detach().cpu().double()
    before: PartialSums | None = None
    for n_iter in range(1, max_iter + 1):
        progress(f"clustering, pass {n_iter} of {max_iter} at most")
        now = _pass(batches, scale, centroids, size)
        if int(now.counts.sum()) != seen.count:
            found, first = (n // (size[0] * size[1]) for n in (int(now.counts.sum()), seen.count))
            raise ValueError(f"pass {n_iter} gave {found} images, the first gave {first}")
        last, centroids = centroids, now.centroids(centroids)
        settled = before is not None and abs(before.inertia - now.inertia) <= _TOLERANCE * before.inertia
        before = now
        if settled or torch.equal(centroids, last):
            break
    assert before is not None
    return Clustering(
        scale=scale,
        centroids=centroids.float(),
        counts=before.counts,
        inertia=before.inertia,
        n_images=seen.count // (size[0] * size[1]),
        n_iter=n_iter,
        metadata=dict(metadata or {}),
    )


@dataclass(frozen=True)
class PartialSums:
    """What one assignment of some images' positions adds to an update of the centroids.

    Sums of two sets of images add with `+`: exactly commutative, associative up to rounding in float64.

    Attributes:
        sums: (k, ΣC) float64 on the CPU, Σ x(p) over each cluster.
        counts: (k,) int64, positions in each cluster.
        inertia: summed squared distance of the positions to their centroids.
    """

    sums: Tensor
    counts: Tensor
    inertia: float

    def __add__(self, other: PartialSums) -> PartialSums:
        return PartialSums(self.sums + other.sums, self.counts + other.counts, self.inertia + other.inertia)

    def centroids(self, previous: Tensor) -> Tensor:
        """The clusters' means (k, ΣC) float64; an empty cluster keeps its previous centroid.

        The farthest point, which `factored_kmeans` gives it, is not known before a pass has ended.
        """
        counts = self.counts[:, None]
        return torch.where(counts > 0, self.sums / counts.clamp(min=1), previous.cpu().double())


def partial_sums(stages: Sequence[Tensor], centroids: Tensor, size: tuple[int, int]) -> PartialSums:
    """Assign every position of every image to the nearest centroid, and sum the clusters.

    Args:
        stages: (B, C_l, h_l, w_l), on the frozen scale already.
        centroids: (k, ΣC), the same for all images; the lower index wins a tie.
        size: (H, W), the target grid.

    Raises:
        ValueError: NaN or infinite activations, or shapes that do not fit.
    """
    features = VirtualFeatures.of(stages, size)
    _check_centroids(centroids, (len(centroids), sum(features.channels)))
    sums = torch.zeros(centroids.shape, dtype=torch.float64)
    counts = torch.zeros(len(centroids), dtype=torch.int64)
    inertia = 0.0
    for part in nearest(features, centroids):
        centred, sizes = cluster_sums(part.features, part.labels, len(centroids))
        whole = centred.double() + sizes.double()[:, :, None] * part.mean.double()[:, None]
        sums += whole.sum(dim=0).cpu()
        counts += sizes.long().sum(dim=0).cpu()
        norms = part.features.mean_square_norm().double() * (size[0] * size[1])
        distances = norms + part.score.flatten(1).sum(dim=1, dtype=torch.float64)
        inertia += float(distances.clamp(min=0).sum())
    return PartialSums(sums, counts, inertia)


def _start(scale: FrozenScale, vectors: Tensor, k: int, seed: int) -> Tensor:
    """Greedy k-means++ and Lloyd steps on a sample (n, ΣC): centroids (k, ΣC) float64, scaled."""
    stages = [part[:, :, None, None] for part in vectors.split(scale.channels, dim=1)]
    points = torch.cat(scale.apply(stages), dim=1).flatten(1).double()
    mean = points.mean(dim=0)
    centred = (points - mean).float()
    weights = start_weights((centred @ centred.T)[None], k, [derive_seed(seed, "stream/start")])
    return mean + weights[0].double() @ (points - mean)


def _first_pass(batches: Batches, size: tuple[int, int], sample: Sample | None) -> Moments:
    """The moments of all images, each of which is offered to the sample."""
    total: Moments | None = None
    for ids, stages in batches():
        if any(len(stage) != len(ids) for stage in stages):
            raise ValueError(f"{len(ids)} ids for stages of {[len(stage) for stage in stages]} images")
        for i, name in enumerate(ids):
            try:
                image = VirtualFeatures.of([stage[i : i + 1] for stage in stages], size)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            found = image_moments(image)
            total = found if total is None else total + found
            if sample is not None:
                sample.add(name, image)
    if total is None:
        raise ValueError("there are no images to cluster")
    return total


def _pass(batches: Batches, scale: FrozenScale, centroids: Tensor, size: tuple[int, int]) -> PartialSums:
    """One assignment of all images; a batch may be empty."""
    total = PartialSums(
        torch.zeros(centroids.shape, dtype=torch.float64), torch.zeros(len(centroids), dtype=torch.int64), 0.0
    )
    for ids, stages in batches():
        if len(ids) == 0:
            continue
        total += partial_sums(scale.apply(stages), centroids, size)
    return total


def _check_centroids(centroids: Tensor, expected: tuple[int, int]) -> None:
    if tuple(centroids.shape) != expected:
        raise ValueError(f"the centroids have shape {tuple(centroids.shape)}; expected {expected}")
    if not torch.isfinite(centroids).all():
        raise ValueError("the centroids hold NaN or infinite values")
