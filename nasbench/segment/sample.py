"""A small uniform sample of the positions of a stream of images, whatever their order and number."""

from __future__ import annotations

import torch
from torch import Tensor

from nasbench.rng import generator
from nasbench.segment.interpolation import axis
from nasbench.segment.virtual import VirtualFeatures


class Sample:
    """At most `most` vectors, drawn uniformly from a stream of images of unknown number.

    Each image draws positions and a priority for each from (seed, id) alone; kept are the lowest priorities
    of all images ("bottom-k sampling"). Which those are does not depend on the order of the images.
    """

    def __init__(self, most: int, *, per_image: int, seed: int) -> None:
        self.most = most
        self.per_image = per_image
        self.seed = seed
        # (priority, id, position) in rising order, and the vectors in the same order.
        self._keys: list[tuple[float, str, int]] = []
        self._vectors: Tensor | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, image: VirtualFeatures) -> None:
        """Offer the positions of one image, a batch of one."""
        draw = generator(self.seed, name, "stream/sample")
        positions = image.size[0] * image.size[1]
        drawn = draw.choice(positions, min(self.per_image, positions), replace=False)
        worst = self._keys[-1][0] if len(self) >= self.most else float("inf")
        offers = sorted(
            (priority, name, position)
            for priority, position in zip(draw.random(len(drawn)).tolist(), drawn.tolist(), strict=True)
            if priority <= worst
        )[: self.most]
        if not offers:
            return
        vectors = vectors_at(image, torch.tensor([position for _, _, position in offers])).cpu()
        if self._vectors is not None:
            vectors = torch.cat([self._vectors, vectors])
        keys = self._keys + offers
        order = sorted(range(len(keys)), key=keys.__getitem__)[: self.most]
        self._keys = [keys[i] for i in order]
        self._vectors = vectors[order]

    def vectors(self) -> Tensor:
        """The vectors kept (n, ΣC), in the order of (id, position). Raises ValueError if there are none."""
        if self._vectors is None:
            raise ValueError("no image was sampled")
        return self._vectors[sorted(range(len(self)), key=lambda i: self._keys[i][1:])]


def vectors_at(image: VirtualFeatures, positions: Tensor) -> Tensor:
    """x(p) of one image at positions (n,) int64 in 0..H·W-1, (n, ΣC)."""
    height, width = image.size
    vectors = []
    for stage in image.stages:
        taps = (
            axis(int(stage.shape[2]), height, stage.device, stage.dtype).taps[positions // width],
            axis(int(stage.shape[3]), width, stage.device, stage.dtype).taps[positions % width],
        )
        # By its four neighbours, not by a product of matrices: that would round by how many are asked for.
        (down, rows), (across, columns) = (axis_.topk(min(2, axis_.shape[1]), dim=1) for axis_ in taps)
        corners = stage[0][:, rows[:, :, None], columns[:, None]]
        vectors.append(((corners * across[:, None]).sum(dim=3) * down).sum(dim=2).T)
    return torch.cat(vectors, dim=1)
