"""Linear imputation: closed forms, the definition given to scipy, the authors' code; the multigrid in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from nasbench.errors import RunError
from nasbench.faithfulness import multigrid, road
from nasbench.faithfulness.imputers import Road
from nasbench.faithfulness.multigrid import Multigrid
from nasbench.faithfulness.road import linear_fill, resistance_bound

SIZE = (37, 50)


def weights_of(y, x, height, width):
    """The neighbours of a pixel in the image, with their weights scaled to sum 1."""
    found = {}
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if (dy, dx) != (0, 0) and 0 <= y + dy < height and 0 <= x + dx < width:
                found[y + dy, x + dx] = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
    total = sum(found.values())
    return {place: weight / total for place, weight in found.items()}


def slow_fill(image, removed):
    """The definition, one equation for each removed pixel, given to scipy."""
    image = image.double().numpy()
    removed = removed.numpy()
    places = [tuple(p) for p in np.argwhere(removed)]
    number = {place: i for i, place in enumerate(places)}
    rows, columns, values, b = [], [], [], np.zeros((len(places), 3))
    for i, place in enumerate(places):
        entries = {i: 1.0}
        for other, weight in weights_of(*place, *removed.shape).items():
            if removed[other]:
                entries[number[other]] = -weight
            else:
                b[i] += weight * image[:, other[0], other[1]]
        rows += [i] * len(entries)
        columns += list(entries)
        values += list(entries.values())
    matrix = coo_matrix((values, (rows, columns)), shape=(len(places), len(places))).tocsc()
    filled = image.copy()
    filled[:, removed] = spsolve(matrix, b).reshape(-1, 3).T
    return torch.from_numpy(filled)


def make_image(size=SIZE, seed=0):
    """Smooth with an edge and noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((3, *size)), (0, 6, 6), mode="nearest")
    smooth[:, :, size[1] // 3 :] += 0.3
    values = smooth + 0.05 * rng.standard_normal((3, *size))
    return torch.from_numpy((values - values.min()) / np.ptp(values)).float()


def top(score, share):
    """The highest `share` of a score."""
    removed = np.zeros(score.size, dtype=bool)
    removed[np.argsort(score, axis=None)[score.size - round(share * score.size) :]] = True
    return removed.reshape(score.shape)


def make_masks(size=SIZE):
    """Kinds of removal that an explanation may ask for, and some that none does."""
    height, width = size
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    dots, blobs = rng.random(size), gaussian_filter(rng.standard_normal(size), 5)
    masks = {f"dots {share}": top(dots, share) for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99)}
    masks |= {f"blobs {share}": top(blobs, share) for share in (0.1, 0.5, 0.9)}
    masks |= {f"speckle {share}": top(blobs + 0.1 * dots, share) for share in (0.3, 0.8)}
    masks["disc"] = (y - height // 2) ** 2 + (x - width // 2) ** 2 < (min(size) // 2 - 2) ** 2
    masks["around the disc"] = ~masks["disc"]
    masks["upper half"] = y < height // 2
    masks["left half"] = x < width // 2
    masks["thin rows"] = y % 3 == 1
    masks["thin columns"] = x % 2 == 1
    masks["a diagonal"] = abs(y - x) <= 1
    masks["all but a lattice"] = (y % 8 != 3) | (x % 8 != 5)
    masks["all but a row"] = y != 7
    masks["all but five"] = ~top(rng.random(size), 5 / (height * width))
    masks["all but a corner"] = (y > 0) | (x > 0)
    masks["all but one"] = (y != 20) | (x != 13)
    masks["two blocks"] = (y < 9) & (x < 9) | (y > 20) & (x > 30)
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}


MASKS = make_masks()
SMALL_MASKS = make_masks((22, 27))


def error(image, removed):
    """The largest difference to the definition at a removed pixel."""
    difference = linear_fill(image, removed[None])[0] - slow_fill(image, removed)
    return float(difference[:, removed].abs().max())


@pytest.mark.parametrize("name", MASKS)
def test_it_solves_the_definition(name):
    assert error(make_image(), MASKS[name]) < road.TOLERANCE


@pytest.mark.parametrize("size", [(1, 2), (1, 300), (300, 1), (2, 2), (2, 151), (3, 3), (17, 16), (33, 32)])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_it_solves_the_definition_on_any_grid(size, share):
    dots = np.random.default_rng(2).random(size)
    removed = torch.from_numpy(top(dots, share))
    removed.view(-1)[0], removed.view(-1)[-1] = True, False
    assert error(make_image(size), removed) < road.TOLERANCE


@pytest.mark.parametrize("direct", [4, 30])
def test_it_solves_the_definition_in_small_odd_cases(monkeypatch, direct):
    # Small grids of many levels: coarse operators with no unknown left, and the like.
    monkeypatch.setattr(multigrid, "_DIRECT", direct)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        size = tuple(rng.integers(2, 25, 2).tolist())
        score = rng.random(size) if seed % 2 else gaussian_filter(rng.standard_normal(size), 1)
        removed = torch.from_numpy(top(score, rng.integers(1, score.size) / score.size))
        assert error(make_image(size, seed), removed) < road.TOLERANCE


def test_coarse_points_may_speak_for_the_same_pixels(monkeypatch):
    # A ring of four pixels, whose coarse operator has four unknowns and is singular.
    monkeypatch.setattr(multigrid, "_DIRECT", 4)
    removed = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).bool()
    coarse = multigrid._galerkin(laplacian(removed), multigrid._interpolation(laplacian(removed)))
    assert bool((coarse.diagonal > 0).all())
    assert float(torch.linalg.eigvalsh(dense(coarse.apply, (2, 2))).min()) < 1e-12
    for kept_rows in (0, 1):
        lower = torch.cat([torch.zeros(kept_rows, 3, dtype=torch.bool), removed])
        assert error(make_image(tuple(lower.shape)), lower) < road.TOLERANCE


def test_a_pixel_of_a_ramp_is_its_own_neighbours_mean():
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij")
    image = torch.stack([0.03 * x + 0.02 * y, 0.05 * y, 0.5 - 0.03 * x])
    removed = torch.zeros(12, 15, dtype=torch.bool)
    removed[6, 4] = removed[2, 11] = True
    filled = Road(sd=0)(image, removed[None], "a")[0]
    assert torch.allclose(filled, image, atol=1e-6, rtol=0)


def test_a_corner_has_three_neighbours():
    image = make_image()
    removed = torch.zeros(SIZE, dtype=torch.bool)
    removed[0, 0] = True
    expected = (2 * image[:, 0, 1] + 2 * image[:, 1, 0] + image[:, 1, 1]) / 5
    assert torch.allclose(linear_fill(image, removed[None])[0, :, 0, 0], expected, atol=1e-6, rtol=0)


def test_between_two_flat_halves_runs_a_straight_line():
    image = torch.full((3, 20, 40), 0.2)
    image[:, :, 30:] = 0.9
    removed = torch.zeros(20, 40, dtype=torch.bool)
    removed[:, 10:30] = True
    line = 0.2 + 0.7 * (torch.arange(10, 30) - 9) / 21
    filled = linear_fill(image, removed[None])[0][:, :, 10:30]
    assert torch.allclose(filled, line.expand_as(filled), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["dots 0.5", "blobs 0.9", "upper half", "all but one"])
def test_a_flat_image_stays_flat(name):
    image = torch.tensor([0.1, 0.5, 0.7])[:, None, None].repeat(1, *SIZE)
    assert torch.allclose(Road(sd=0)(image, MASKS[name][None], "a")[0], image, atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_agrees_with_the_authors_code():
    reference = pytest.importorskip("pytorch_grad_cam.metrics.road").NoisyLinearImputer(noise=0)
    image, masks = make_image((50, 50)), make_masks((50, 50))
    for name in ("dots 0.3", "dots 0.99", "blobs 0.5", "around the disc", "thin columns", "all but five"):
        mask = masks[name]
        # Theirs is 1 where a pixel is kept.
        theirs = reference(image, (~mask).float())
        assert float((Road(sd=0)(image, mask[None], "a")[0] - theirs).abs().max()) < 1e-4


def test_the_noise_is_one_field_on_removed_pixels():
    image = torch.full((3, 100, 120), 0.5)
    removed = torch.from_numpy(
        np.random.default_rng(3).random((2, 100, 120)) < np.array([0.5, 0.9])[:, None, None]
    )
    noise = Road(sd=0.02)(image, removed, "a") - Road(sd=0)(image, removed, "a")
    assert torch.equal(noise != 0, removed[:, None].expand_as(noise))
    both = removed.all(0)
    assert torch.allclose(noise[0][:, both], noise[1][:, both], atol=1e-6)
    drawn = noise[1][:, removed[1]].double()
    assert abs(float(drawn.std()) - 0.02) < 0.0005
    assert abs(float(drawn.mean())) < 0.0005
    assert float(torch.corrcoef(drawn).triu(1).abs().max()) < 0.05, "channels share their noise"


def test_all_removed_leaves_the_mean_and_the_noise():
    image = make_image()
    masks = torch.stack([torch.ones(SIZE, dtype=torch.bool), MASKS["all but one"], MASKS["dots 0.5"]])
    plain = Road(sd=0)(image, masks, "a")
    assert torch.allclose(plain[0], image.mean((1, 2), keepdim=True).expand_as(image), atol=1e-6)
    assert torch.allclose(plain[1], image[:, 20, 13][:, None, None].expand_as(image), atol=1e-6)
    noisy = Road()(image, masks, "a")
    assert 0.009 < float((noisy - plain)[0].std()) < 0.011


def test_a_mask_is_alone_in_its_call():
    image = make_image()
    names = ["dots 0.7", "blobs 0.5", "all but five", "dots 0.01", "thin rows"]
    empty, full = torch.zeros(SIZE, dtype=torch.bool), torch.ones(SIZE, dtype=torch.bool)
    masks = torch.stack([*(MASKS[name] for name in names), empty, full])
    together = linear_fill(image, masks)
    assert torch.equal(linear_fill(image, masks.flip(0)), together.flip(0))
    for i in range(len(masks)):
        assert torch.equal(linear_fill(image, masks[i : i + 1])[0], together[i])


def test_masks_solved_as_a_batch_are_right_each():
    # As on a GPU: one system of several masks, which are done after different numbers of steps.
    image = make_image()
    names = ["dots 0.5", "all but one", "a diagonal", "disc"]
    masks = torch.stack([MASKS[name] for name in names])
    solutions = road._solved(image.double(), masks)
    for solution, mask in zip(solutions, masks, strict=True):
        assert float((solution - slow_fill(image, mask))[:, mask].abs().max()) < road.TOLERANCE


def test_no_masks_no_images():
    assert linear_fill(make_image(), torch.zeros(0, *SIZE, dtype=torch.bool)).shape == (0, 3, *SIZE)


def test_removed_pixels_have_no_say():
    image = make_image()
    mask = MASKS["blobs 0.5"]
    other = torch.where(mask, 1 - image, image)
    assert torch.equal(linear_fill(image, mask[None])[0][:, mask], linear_fill(other, mask[None])[0][:, mask])


@pytest.mark.parametrize("tolerance", [0.1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("name", ["dots 0.9", "blobs 0.9", "all but five", "upper half"])
def test_the_bound_holds_wherever_it_stops(monkeypatch, name, tolerance):
    monkeypatch.setattr(road, "TOLERANCE", tolerance)
    assert error(make_image(), MASKS[name]) <= tolerance


def test_the_tolerance_decides_when_it_stops(monkeypatch):
    fine = error(make_image(), MASKS["blobs 0.9"])
    monkeypatch.setattr(road, "TOLERANCE", 0.1)
    assert error(make_image(), MASKS["blobs 0.9"]) > 10 * fine


@pytest.mark.parametrize("size", [(1, 2), (1, 30), (2, 2), (3, 3), (2, 25), (8, 8), (5, 16), (14, 15)])
def test_no_two_pixels_are_further_apart_than_the_bound(size):
    # Conductances as in the system that is solved: 2 along an edge, 1 across a corner.
    n = size[0] * size[1]
    laplacian = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            dy, dx = np.abs(np.subtract(divmod(i, size[1]), divmod(j, size[1])))
            if max(dy, dx) == 1:
                laplacian[i, j] = laplacian[j, i] = -(3 - dy - dx)
    laplacian -= np.diag(laplacian.sum(1))
    green = np.linalg.pinv(laplacian)
    resistance = np.diag(green)[:, None] + np.diag(green) - 2 * green
    assert resistance.max() <= resistance_bound(*size)
    assert resistance_bound(*size) == resistance_bound(*size[::-1])


def count_steps(monkeypatch):
    """A list that grows by one with each multigrid cycle."""
    steps: list[int] = []
    cycle = Multigrid.__call__

    def counted(self, r):
        steps.append(1)
        return cycle(self, r)

    monkeypatch.setattr(Multigrid, "__call__", counted)
    return steps


@pytest.mark.parametrize("name", MASKS)
def test_few_steps_are_enough(monkeypatch, name):
    steps = count_steps(monkeypatch)
    linear_fill(make_image(), MASKS[name][None])
    assert len(steps) <= 10


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_dust_survives_many_levels(monkeypatch, share):
    # What is left of single pixels on the coarse grids must neither vanish nor explode in float32.
    monkeypatch.setattr(multigrid, "_DIRECT", 2)
    steps = count_steps(monkeypatch)
    size = (256, 256)
    removed = torch.from_numpy(np.random.default_rng(4).random((1, *size)) < share)
    linear_fill(make_image(size), removed)
    assert len(steps) <= 10
    operator = laplacian(removed[0])
    for level, transfer, _ in Multigrid(operator)._levels:
        unknown = level.diagonal[level.diagonal != 0]
        assert unknown.numel() == 0 or 1e-8 < float(unknown.min()) <= float(unknown.max()) < 100
        weights = torch.stack([w for plane in transfer.planes.values() for w in plane.values()])
        assert 0 <= float(weights.min()) <= float(weights.max()) <= 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value):
    image = make_image()
    image[0, 3, 3] = value
    with pytest.raises(RunError, match="did not converge"):
        linear_fill(image, MASKS["upper half"].flip(0)[None])


def dense(apply, shape):
    """The matrix of a linear function of (1, C, H, W)."""
    size = shape[0] * shape[1]
    columns = apply(torch.eye(size, dtype=torch.float64).view(1, size, *shape))
    return columns.reshape(size, -1).T


def laplacian(mask):
    sums = road._smoothed(torch.ones(mask.shape, dtype=torch.float64)) - 4
    return road._Laplacian(mask[None, None].double(), sums)


@pytest.mark.parametrize(
    "name", ["dots 0.5", "dots 0.97", "blobs 0.5", "thin columns", "all but a lattice", "disc"]
)
def test_coarse_operators_are_galerkins(name):
    operator = laplacian(MASKS[name][:21, :24])
    transfer = multigrid._interpolation(operator)
    interpolation = dense(transfer.up, (11, 12))
    assert torch.allclose(dense(transfer.down, (21, 24)), interpolation.T)
    free = operator.free[0, 0].flatten()
    matrix = dense(lambda x: operator.apply(x * operator.free), (21, 24))
    coarse = multigrid._galerkin(operator, transfer)
    expected = interpolation.T @ matrix @ interpolation
    assert torch.allclose(dense(coarse.apply, (11, 12)), expected, atol=1e-12)
    assert not interpolation[free == 0].any(), "a kept pixel is interpolated to"
    # Its couplings say the same as its product.
    couplings = coarse.couplings()
    assert set(couplings) == set(multigrid.NEIGHBOURS)
    x = torch.rand(1, 1, 11, 12, dtype=torch.float64)
    slow = coarse.diagonal * x - sum(w * multigrid.shifted(x, offset) for offset, w in couplings.items())
    assert torch.allclose(coarse.apply(x), slow, atol=1e-12)


def test_interpolation_keeps_constants_where_there_is_no_hole():
    operator = laplacian(torch.ones(13, 18, dtype=torch.bool))
    fine = multigrid._interpolation(operator).up(torch.ones(1, 1, 7, 9, dtype=torch.float64))
    assert torch.allclose(fine, torch.ones(1, 1, 13, 18, dtype=torch.float64))


@pytest.mark.parametrize("name", MASKS)
def test_a_cycle_is_nearly_the_inverse(monkeypatch, name):
    # Four levels on a small grid, where the inverse can be written down.
    monkeypatch.setattr(multigrid, "_DIRECT", 8)
    shape = (22, 27)
    operator = laplacian(SMALL_MASKS[name])
    inside = operator.free[0, 0].flatten() > 0
    matrix = dense(lambda x: operator.apply(x * operator.free), shape)[inside][:, inside]
    cycle = Multigrid(operator)
    inverse = dense(lambda r: cycle(r * operator.free), shape)[inside][:, inside]
    assert torch.allclose(inverse, inverse.T, atol=1e-9)
    root = torch.linalg.cholesky(matrix)
    eigenvalues = torch.linalg.eigvalsh(root.T @ inverse @ root)
    # What `_SLACK` promises: the inverse is at most so much larger than the cycle.
    assert float(eigenvalues.min()) > 1 / road._SLACK
    assert float(eigenvalues.max()) < 1.1
