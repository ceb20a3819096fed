"""The 19 localizations of the HPA single-cell contest; nothing else knows them.

An `hpa_index` is 0..18 in the contest's order; 18 is Negative. Colours are RGB, 0..255.
"""

from typing import NamedTuple

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
NAMES: tuple[str, ...] = tuple(each.name for each in LOCALIZATIONS)


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
