"""What runs are made on and with."""

from __future__ import annotations

import pytest

from tests.support.cli import call
from tests.support.explain import make_labelled


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return make_labelled(tmp_path_factory.mktemp("labelled") / "photos")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def go(*args, code=0):
        result = call(capsys, monkeypatch, *args)
        assert result.code == code, result.err
        return result

    return go
