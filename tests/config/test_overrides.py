"""Reading overrides: what is understood, and what is explained."""

from __future__ import annotations

import pytest

from nasbench.config.overrides import Override, parse_overrides
from nasbench.errors import UsageError


@pytest.mark.parametrize(
    ("token", "values"),
    [
        ("segmenter.k=5", (5,)),
        ("segmenter.k=5,10", (5, 10)),
        ("segmenter.k=range(1,4)", (1, 2, 3)),
        ("segmenter.k=choice(3,7)", (3, 7)),
        ("segmenter.stages=[-1]", ([-1],)),
        ("segmenter.stages=[-1],[-2,-1]", ([-1], [-2, -1])),
        ("dataset.root='a,b'", ("a,b",)),
        ('dataset.root="a=b"', ("a=b",)),
        ("dataset.root=Bäume/übung", ("Bäume/übung",)),
        ("dataset.root=my photos", ("my photos",)),
        ("limit=null", (None,)),
        ("save=overlays", (["overlays"],)),
        ("save=labels,overlays", (["labels", "overlays"],)),
        ("save=[overlays]", (["overlays"],)),
        ("model.kwargs.pad_type=same", ("same",)),
    ],
)
def test_values(token, values):
    assert parse_overrides([token]) == [Override(token.partition("=")[0], values)]


def test_globs_choose_from_a_group():
    (override,) = parse_overrides(["segmenter=glob(*s*,exclude=c*)"])
    assert set(override.values) >= {"nas", "slic"}
    assert "grid" not in override.values


@pytest.mark.parametrize("prefix", ["+", "++", "~"])
def test_prefixes_are_refused_with_a_reason(prefix):
    with pytest.raises(UsageError, match=r"keys cannot be added or deleted"):
        parse_overrides([f"{prefix}segmenter.k=5"])


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("segmenter", "write key=value"),
        ("=5", "write key=value"),
        ("a@b=c", "packages"),
        ("dataset.root=/data/a=b", """quoted twice: 'dataset.root="/data/a=b"'"""),
        ("segmenter.stages=[-1", "check brackets and quotes"),
        ("segmenter=slik", "no such segmenter; did you mean slic?"),
        ("segmenter=nas,slik", "did you mean slic?"),
        ("model=vgg", "no such model; choose one of"),
        ("segmenter.k=glob(*)", "glob() is for groups"),
        ("segmenter=glob(zzz*)", "matches nothing; choose one of"),
    ],
)
def test_misuse_is_explained(token, message):
    with pytest.raises(UsageError) as caught:
        parse_overrides([token])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_existing_path_with_a_comma_is_not_swept(tmp_path):
    path = tmp_path / "a,b"
    path.mkdir()
    with pytest.raises(UsageError, match="a comma sweeps; to name this path, quote it twice"):
        parse_overrides([f"dataset.root={path}"])
    assert parse_overrides([f'dataset.root="{path}"'])[0].values == (str(path),)


def test_a_key_given_twice_is_refused():
    with pytest.raises(UsageError, match="given twice"):
        parse_overrides(["segmenter.k=5", "segmenter.k=6"])
