"""The 19 classes, and what other tables call them."""

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import (
    HPA28_NAMES,
    LOCALIZATIONS,
    NAMES,
    SYNONYMS,
    localization_at,
    localization_labelled,
    localization_named,
)


def test_indices_count_from_0_and_nothing_comes_twice() -> None:
    assert [localization.hpa_index for localization in LOCALIZATIONS] == list(range(19))
    assert len(set(NAMES)) == len({localization.colour_rgb for localization in LOCALIZATIONS}) == 19


def test_every_class_of_2018_has_one_of_the_19() -> None:
    mapped = [localization_labelled(str(at), "hpa28") for at in range(28)]
    assert [label.hpa_index for label in mapped] == [
        *(0, 1, 2, 3, 4, 5, 6, 7),
        *(17, 17, 17, 8, 9, 9, 10, 10, 10, 11, 12, 12, 17, 13, 13, 14, 15, 16, 17, 16),
    ]
    doubtful = [name for name, label in zip(HPA28_NAMES, mapped, strict=True) if label.doubt]
    assert doubtful == [
        "Microtubule ends",
        "Cytokinetic bridge",
        "Microtubule organizing center",
        "Rods & rings",
    ]


def test_the_organizers_own_mapping_is_kept() -> None:
    # notebook "HPA public data download and HPACellSeg", 2021
    organizers = {
        "Focal adhesion sites": 9,
        "Centriolar satellite": 12,
        "Cell Junctions": 13,
        "Vesicles": 17,
        "Peroxisomes": 17,
        "Endosomes": 17,
        "Lysosomes": 17,
        "Lipid droplets": 17,
        "Cytoplasmic bodies": 17,
        "No staining": 18,
    }
    for name, hpa_index in organizers.items():
        assert localization_named(name) == (hpa_index, "")


def test_no_synonym_hides_a_class() -> None:
    assert not {name.casefold() for name in SYNONYMS} & {name.casefold() for name in NAMES}


@pytest.mark.parametrize(
    ("word", "scheme", "message"),
    [
        ("28", "hpa28", r"row 3: found label index 28, expected 0 to 27"),
        ("19", "hpa19", r"row 3: found label index 19, expected 0 to 18"),
        ("²", "hpa19", r"row 3: found label '²', expected a number of scheme hpa19"),
        ("Nucleus", "names", r"row 3: found label 'Nucleus', expected a name of the 19"),
        ("1", "hpa20", r"--label-scheme: found hpa20, expected one of hpa19, hpa28, names"),
    ],
)
def test_an_unknown_label_is_named(word: str, scheme: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        localization_labelled(word, scheme, "row 3")


def test_a_negative_index_is_no_class() -> None:
    with pytest.raises(InputError, match="found label index -1"):
        localization_at(-1)
