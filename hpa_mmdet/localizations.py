"""The 19 localizations of the HPA single-cell contest; nothing else knows them.

An `hpa_index` is 0..18 in the contest's order; 18 is Negative. Colours are RGB, 0..255.
Names and numbers of other tables (the Human Protein Atlas site, the 2018 contest) are
mapped to it here.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError


class Localization(NamedTuple):
    """One class: its contest index, HPA name, a short name for pictures, a colour."""

    hpa_index: int
    name: str
    short_name: str
    colour_rgb: tuple[int, int, int]


# Colours: 19 hues spread so that neighbours in the cell differ (nucleus blue to violet,
# membranes green, cytoskeleton red to orange, organelles yellow to brown, Negative grey).
LOCALIZATIONS: tuple[Localization, ...] = (
    Localization(0, "Nucleoplasm", "Nucleoplasm", (66, 133, 244)),
    Localization(1, "Nuclear membrane", "Nuc. membrane", (0, 188, 212)),
    Localization(2, "Nucleoli", "Nucleoli", (126, 87, 194)),
    Localization(3, "Nucleoli fibrillar center", "Fibrillar center", (216, 67, 255)),
    Localization(4, "Nuclear speckles", "Speckles", (92, 107, 192)),
    Localization(5, "Nuclear bodies", "Nuc. bodies", (240, 98, 146)),
    Localization(6, "Endoplasmic reticulum", "ER", (255, 214, 0)),
    Localization(7, "Golgi apparatus", "Golgi", (255, 112, 67)),
    Localization(8, "Intermediate filaments", "Int. filaments", (229, 57, 53)),
    Localization(9, "Actin filaments", "Actin", (255, 23, 140)),
    Localization(10, "Microtubules", "Microtubules", (255, 152, 0)),
    Localization(11, "Mitotic spindle", "Spindle", (174, 234, 0)),
    Localization(12, "Centrosome", "Centrosome", (255, 255, 141)),
    Localization(13, "Plasma membrane", "Plasma membrane", (67, 160, 71)),
    Localization(14, "Mitochondria", "Mitochondria", (161, 110, 80)),
    Localization(15, "Aggresome", "Aggresome", (0, 230, 118)),
    Localization(16, "Cytosol", "Cytosol", (38, 166, 154)),
    Localization(17, "Vesicles and punctate cytosolic patterns", "Vesicles", (205, 220, 57)),
    Localization(18, "Negative", "Negative", (158, 158, 158)),
)
NUM_LOCALIZATIONS = len(LOCALIZATIONS)
NEGATIVE = 18
NAMES: tuple[str, ...] = tuple(localization.name for localization in LOCALIZATIONS)


class Synonym(NamedTuple):
    """A structure outside the 19: the class that holds it, and why that may be doubted."""

    hpa_index: int
    doubt: str = ""


# Names of the Human Protein Atlas that the 19 take in. Without a doubt: the table of the
# contest's organizers (notebook "HPA public data download and HPACellSeg", 2021, which made
# their public set of extra images). With one: that table leaves the structure out, and it
# goes to the class under which the Atlas groups it (proteinatlas.org, "The organelle
# proteome"; Thul et al., Science 356, eaal3321, 2017).
SYNONYMS: dict[str, Synonym] = {
    "Focal adhesion sites": Synonym(9),
    "Centriolar satellite": Synonym(12),
    "Cell junctions": Synonym(13),
    "Peroxisomes": Synonym(17),
    "Endosomes": Synonym(17),
    "Lysosomes": Synonym(17),
    "Lipid droplets": Synonym(17),
    "Cytoplasmic bodies": Synonym(17),
    "Vesicles": Synonym(17),
    "No staining": Synonym(18),
    "Kinetochore": Synonym(0, "a part of the nucleus seen in mitosis"),
    "Mitotic chromosome": Synonym(0, "a part of the nucleus seen in mitosis"),
    "Nucleoli rim": Synonym(2, "the rim of class 2, named since 2020"),
    "Cleavage furrow": Synonym(9, "a ring of actin, only in dividing cells"),
    "Microtubule ends": Synonym(10, "spots at the tips, not the network of class 10"),
    "Cytokinetic bridge": Synonym(10, "between two dividing cells, not the network of class 10"),
    "Midbody": Synonym(10, "between two dividing cells, not the network of class 10"),
    "Midbody ring": Synonym(10, "between two dividing cells, not the network of class 10"),
    "Microtubule organizing center": Synonym(12, "the region around the centrosome"),
    "Rods & rings": Synonym(16, "rods in the cytosol, unlike the even stain of class 16"),
}

# the 2018 contest (HPA Image Classification): a label's number is its place here
HPA28_NAMES: tuple[str, ...] = (
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Peroxisomes",
    "Endosomes",
    "Lysosomes",
    "Intermediate filaments",
    "Actin filaments",
    "Focal adhesion sites",
    "Microtubules",
    "Microtubule ends",
    "Cytokinetic bridge",
    "Mitotic spindle",
    "Microtubule organizing center",
    "Centrosome",
    "Lipid droplets",
    "Plasma membrane",
    "Cell junctions",
    "Mitochondria",
    "Aggresome",
    "Cytosol",
    "Cytoplasmic bodies",
    "Rods & rings",
)
LABEL_SCHEMES: tuple[str, ...] = ("hpa19", "hpa28", "names")

_BY_NAME: dict[str, Synonym] = {
    **{name.casefold(): Synonym(index) for index, name in enumerate(NAMES)},
    **{name.casefold(): synonym for name, synonym in SYNONYMS.items()},
}


def localization_at(hpa_index: int, where: object = "hpa_index") -> Localization:
    """Look a class up by its index.

    Args:
        hpa_index: 0..18.
        where: what an error names, such as the file and row the index came from.

    Raises:
        InputError: no class has this index.

    Examples:
        >>> localization_at(14).name
        'Mitochondria'
    """
    if not 0 <= hpa_index < NUM_LOCALIZATIONS:
        raise InputError(
            where,
            f"label index {hpa_index}",
            f"0 to {NUM_LOCALIZATIONS - 1}",
            "correct the row, or map another numbering with --label-scheme",
        )
    return LOCALIZATIONS[hpa_index]


def localization_named(name: str, where: object = "label") -> Synonym:
    """Look a class up by its name or that of a structure it holds, in any case.

    Raises:
        InputError: no class is known to hold a structure of this name.

    Examples:
        >>> localization_named("golgi apparatus").hpa_index
        7
        >>> localization_named("Rods & Rings")
        Synonym(hpa_index=16, doubt='rods in the cytosol, unlike the even stain of class 16')
    """
    found = _BY_NAME.get(name.strip().casefold())
    if found is None:
        raise InputError(
            where,
            f"label {name.strip()!r}",
            "a name of the 19 localizations or of a structure they hold",
            "correct it, or see the names in docs/reference/coco_format.md",
        )
    return found


def multi_hot(hpa_indices: Iterable[int]) -> NDArray[np.bool_]:
    """Mark the classes of a set: (19,).

    Examples:
        >>> np.flatnonzero(multi_hot((0, 16)))
        array([ 0, 16])
    """
    marks = np.zeros(NUM_LOCALIZATIONS, np.bool_)
    marks[list(hpa_indices)] = True
    return marks


def localization_labelled(word: str, scheme: str, where: object = "label") -> Synonym:
    """Look a class up by a label of a table.

    Args:
        word: the label, a number or a name.
        scheme: `hpa19` numbers of the 2021 contest, `hpa28` numbers of the 2018 contest,
            or `names`.
        where: what an error names.

    Raises:
        InputError: the scheme is unknown, or it has no such label.

    Examples:
        >>> localization_labelled("23", "hpa28").hpa_index
        14
    """
    if scheme not in LABEL_SCHEMES:
        raise InputError(
            "--label-scheme", scheme, f"one of {', '.join(LABEL_SCHEMES)}", "correct it"
        )
    if scheme == "names":
        return localization_named(word, where)
    if not (word.isascii() and word.isdecimal()):
        raise InputError(
            where,
            f"label {word!r}",
            f"a number of scheme {scheme}",
            "correct the row, or give --label-scheme names",
        )
    if scheme == "hpa19":
        return Synonym(localization_at(int(word), where).hpa_index)
    if int(word) >= len(HPA28_NAMES):
        raise InputError(
            where,
            f"label index {word}",
            f"0 to {len(HPA28_NAMES) - 1}",
            "correct the row, or map another numbering with --label-scheme",
        )
    return localization_named(HPA28_NAMES[int(word)], where)
