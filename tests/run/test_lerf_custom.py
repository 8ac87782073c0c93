"""An imputer of the user's: as good as ours, and what it breaks is said in one line."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
import torch

import nasbench
from nasbench.errors import RunError, SegmentationError
from nasbench.faithfulness.guarded import GuardedImputer, guarded
from nasbench.faithfulness.imputers import DatasetMean, Zero
from tests.support.explain import rows
from tests.support.removal import tiny_lerf, tiny_network

GREY = 0.25
QUICK = ("saliency=centre", "metric.steps=3", "--limit", "2", "--out", "out")


class Grey:
    """A flat grey; `how` says what is wrong with it."""

    name: ClassVar[str] = "grey"

    def __init__(self, how="", grey=GREY):
        self.how = how
        self.grey = grey

    def fill_for(self, image, image_id):
        del image_id
        if self.how == "in place":
            return image.mul_(0.0).add_(self.grey)
        if self.how == "disagrees":
            return torch.full_like(image, self.grey + 0.1)
        if self.how == "raises at once":
            raise ZeroDivisionError("no grey")
        if self.how == "small fill":
            return image[:2]
        flat = self.how == "" or self.how.startswith("says")
        return torch.full_like(image, self.grey) if flat else None

    def __call__(self, image, removed, image_id, labels=None):
        del image_id, labels
        if self.how == "two ways":
            return torch.where(removed[:, None], torch.rand_like(image), image)
        filled = torch.where(removed[:, None], torch.full_like(image, self.grey), image)
        if self.how == "raises":
            raise ZeroDivisionError("no grey")
        if self.how == "raises ours":
            raise SegmentationError("this image has no grey")
        if self.how == "changes what is kept":
            return filled + 1e-3
        if self.how == "no numbers":
            return torch.where(removed[:, None], torch.nan, filled)
        return {"one image": filled[0], "double": filled.double(), "nothing": None}.get(self.how, filled)

    def conventions(self):
        if self.how == "says nothing":
            return None
        if self.how == "says of others":
            return {"imputer": "grey", "score": "mine"}
        return {"imputer": "grey", "imputer.grey": f"{self.grey:g}"}


TARGET = f"imputer._target_={__name__}.Grey"


@pytest.mark.parametrize("how", ["", "by mask"])
def test_a_users_imputer_is_as_good_as_ours(run, tmp_path, how):
    run(*tiny_lerf("imputer=custom", TARGET, f"imputer.kwargs.how={how}", *QUICK))
    theirs = {(row["sample"], row["metric"]): row for row in rows(tmp_path / "out")}
    run(*tiny_lerf("imputer.mean=[0.25,0.25,0.25]", *QUICK[:-1], "ours"))
    ours = {(row["sample"], row["metric"]): row for row in rows(tmp_path / "ours")}
    assert theirs.keys() == ours.keys()
    for key, row in theirs.items():
        assert row["value"] == ours[key]["value"]
        assert row["curve"] == ours[key]["curve"]
    said = json.loads(theirs[next(iter(theirs))]["conventions"])
    assert (said["imputer"], said["imputer.grey"]) == ("grey", "0.25")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises at once", "imputer Grey failed on {id}: ZeroDivisionError: no grey"),
        ("raises", "imputer Grey failed on {id}: ZeroDivisionError: no grey"),
        ("raises ours", "this image has no grey"),
        ("small fill", "gave torch.float32 (2, 64, 64) on cpu for {id}; expected torch.float32 (3, 64, 64)"),
        ("one image", "Grey gave torch.float32 (3, 64, 64) on cpu for {id}; expected torch.float32 ("),
        ("double", "imputer Grey gave torch.float64 ("),
        ("nothing", "imputer Grey gave NoneType for {id}; expected"),
        ("disagrees", "imputer Grey: fill_for and a call differ for {id} removed whole"),
        ("two ways", "imputer Grey answers the same call for {id} in two ways"),
        ("says of others", "imputer Grey: its convention score does not begin with imputer."),
        ("no numbers", "imputer Grey gave NaN or infinite values for {id}"),
        ("changes what is kept", "imputer Grey changed pixels of {id} that are kept"),
        ("says nothing", "imputer Grey gave conventions that are no texts by name"),
    ],
)  # fmt: skip
def test_what_it_breaks_ends_the_run_in_one_line(run, how, message):
    args = tiny_lerf("imputer=custom", TARGET, f"imputer.kwargs.how={how}", *QUICK)
    said = run(*args, code=1).line
    assert all(part in said for part in message.split("{id}")), said


def test_the_door_guards_too():
    classifier, x = tiny_network(), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = torch.arange(64.0 * 64).reshape(1, 64, 64)
    (theirs,) = nasbench.lerf(classifier, x, maps, imputer=Grey(), steps=4)
    (ours,) = nasbench.lerf(classifier, x, maps, imputer=DatasetMean(mean=(GREY, GREY, GREY)), steps=4)
    assert np.array_equal(theirs.curve("lerf").scores, ours.curve("lerf").scores)
    with pytest.raises(RunError, match="imputer Grey failed on"):
        nasbench.lerf(classifier, x, maps, imputer=Grey("raises"), steps=4)


def test_one_that_writes_into_its_image_changes_nothing_else(run, tmp_path):
    how = "in place"
    more = ("imputer=custom", TARGET, f"imputer.kwargs.how={how}")
    run(*tiny_lerf(*more, "saliency=centre,random", *QUICK[1:]))
    found = rows(tmp_path / "out", saliency="random")
    run(*tiny_lerf("imputer=custom", TARGET, "saliency=random", *QUICK[1:-1], "alone"))
    alone = {(row["sample"], row["metric"]): row for row in rows(tmp_path / "alone")}
    for row in found:
        assert row["value"] == alone[row["sample"], row["metric"]]["value"]
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    nasbench.lerf(tiny_network(), x, torch.arange(64.0 * 64).reshape(1, 64, 64), imputer=Grey(how), steps=4)
    assert torch.equal(x, before)


def test_ours_are_not_wrapped():
    assert isinstance(guarded(Zero()), Zero)
    assert isinstance(guarded(Grey()), GuardedImputer)
