"""Maps between the classes of a data set and of a model: the small print, bad files, and the real map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasbench.data.cub import CUBDataset
from nasbench.errors import UsageError
from nasbench.models.label_map import digest_label_map, read_label_map
from tests.support.realdata import realdata

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross", "004.Ani")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "map.json"


def test_names_and_indices_are_keys(file: Path) -> None:
    file.write_text('{"003.Sooty_Albatross": 7, "0": 422, "004.Ani": 7}')
    assert read_label_map(str(file), CLASSES) == {2: 7, 0: 422, 3: 7}
    assert read_label_map(str(file), CLASSES, model_classes=423) == {2: 7, 0: 422, 3: 7}


def test_a_name_comes_before_an_index(file: Path) -> None:
    file.write_text('{"1": 5, "0": 6}')
    assert read_label_map(str(file), ("2", "zero", "1")) == {2: 5, 0: 6}


def test_unnamed_classes_are_mapped_by_index(file: Path) -> None:
    file.write_text('{"31": 5}')
    assert read_label_map(str(file), ()) == {31: 5}
    file.write_text('{"Ani": 5}')
    with pytest.raises(UsageError, match="entry 'Ani': the data set's classes have no names; give indices"):
        read_label_map(str(file), ())


def test_a_byte_order_mark_is_no_part_of_it(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf{"0": 1}')
    assert read_label_map(str(file), CLASSES) == {0: 1}


def test_the_digest_is_of_what_is_said(file: Path) -> None:
    file.write_text('{"003.Sooty_Albatross": 7, "0": 422}')
    one = digest_label_map(read_label_map(str(file), CLASSES))
    file.write_text('{"001.Black_footed_Albatross":422,\n"2":7}')
    assert digest_label_map(read_label_map(str(file), CLASSES)) == one
    assert (
        len({one, digest_label_map({0: 422, 2: 8}), digest_label_map({0: 422, 3: 7}), digest_label_map({})})
        == 4
    )


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (
            '{"0": 1, "002.Laysan_Albatros": 3}',
            "entry '002.Laysan_Albatros': no class of the data set; near: 002.Laysan_Albatross, ",
        ),
        ('{"xyz": 3}', "entry 'xyz': no class of the data set, such as 001.Black_footed_Albatross"),
        ('{"4": 3}', "entry '4': the data set has the classes 0 to 3"),
        ('{"-1": 3}', "entry '-1': no class of the data set"),
        ('{"٣": 3}', "entry '٣': no class of the data set"),
        (f'{{"{"9" * 5000}": 3}}', "no class of the data set"),
        ('{"004.Ani": 1, "3": 2}', "entry '3': the data set's class 3 stands there twice"),
        ('{"3": 1, "3": 2}', "entry '3': the data set's class 3 stands there twice"),
        ('{"3": "Ani"}', "entry '3': the index of a model's class is a whole number from 0, not 'Ani'"),
        ('{"3": -1}', "a whole number from 0, not -1"),
        ('{"3": true}', "a whole number from 0, not True"),
        ('{"3": 2.0}', "a whole number from 0, not 2.0"),
        ('{"3": null}', "a whole number from 0, not None"),
        ('{"3": NaN}', "a whole number from 0, not nan"),
        ('{"3": {"0": 1}}', "a whole number from 0, not an object"),
        ('{"3": 965}', "entry '3': the model has the classes 0 to 964, not 965"),
        ("{}", "map.json' maps no class"),
        ("[]", "map.json' is no JSON object of classes to indices"),
        ('[["3", 1]]', "map.json' is no JSON object of classes to indices"),
        ("3", "map.json' is no JSON object of classes to indices"),
        ('{"3": 1,\n}', "map.json', line 2: "),
        ("", "map.json', line 1: Expecting value"),
        ('{"3": ' + "[" * 100_000, "map.json' cannot be read as JSON: "),
        ('{"3": ' + "9" * 5000 + "}", "map.json' cannot be read as JSON: "),
    ],
)
def test_bad_files_are_named(file: Path, content: str, fragment: str) -> None:
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_label_map(str(file), CLASSES, model_classes=965)
    message = str(caught.value)
    assert fragment in message
    assert message.startswith(f"model.label_map: {str(file)!r}")
    assert "\n" not in message


def test_files_that_cannot_be_read_are_named(file: Path) -> None:
    with pytest.raises(UsageError, match="model.label_map: cannot read '.*map.json': No such file"):
        read_label_map(str(file), CLASSES)
    with pytest.raises(UsageError, match="cannot read '.*': Is a directory"):
        read_label_map(str(file.parent), CLASSES)
    file.write_bytes(b'{\n"\xff": 1}')
    with pytest.raises(UsageError, match="map.json', line 2: not UTF-8 text"):
        read_label_map(str(file), CLASSES)


@pytest.mark.realdata
def test_the_real_map_joins_birds_of_one_kind() -> None:
    folder = realdata() / "CUB_200_2011"
    classes = CUBDataset(root=str(folder)).classes
    outputs = (realdata() / "weights" / "inat_bird_labels.txt").read_text().splitlines()
    path = folder / "inat_bird_label_map.json"
    found = read_label_map(str(path), classes, model_classes=len(outputs))
    assert len(found) == len(set(found.values())) == len(json.loads(path.read_text())) == 39
    # The last word of both names is the family's: a shift by one on either side would part nearly all.
    same = [classes[i].split("_")[-1].lower() in outputs[c].lower() for i, c in found.items()]
    assert sum(same) > 30
