"""SubCell's released files: their names, where they are, and what their classes mean.

Source:
    Public bucket czi-subcell-public; names as in the configuration of the authors'
    CellProfiling/SubCellPortable, commit 676f0e1.
"""

from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.download.addresses import Wanted
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS, localization_named

BUCKET = "https://czi-subcell-public.s3.amazonaws.com"
CHANNEL_SETS: dict[str, tuple[str, ...]] = {
    "all_channels": ("red", "yellow", "blue", "green"),
    "MT-DNA-Protein": ("red", "blue", "green"),
    "ER-DNA-Protein": ("yellow", "blue", "green"),
    "DNA-Protein": ("blue", "green"),
}
"""The channels of each set, in the order in which the network takes them."""
TRAININGS: tuple[str, ...] = ("MAE-CellS-ProtS-Pool", "ViT-ProtS-Pool")
SEEDS = (0, 1)
CLASSES: tuple[str, ...] = (
    "Actin filaments",
    "Aggresome",
    "Cell junctions",
    "Centriolar satellite",
    "Centrosome",
    "Cytokinetic bridge",
    "Cytoplasmic bodies",
    "Cytosol",
    "Endoplasmic reticulum",
    "Endosomes",
    "Focal adhesion sites",
    "Golgi apparatus",
    "Intermediate filaments",
    "Lipid droplets",
    "Lysosomes",
    "Microtubules",
    "Midbody",
    "Mitochondria",
    "Mitotic chromosome",
    "Mitotic spindle",
    "Nuclear bodies",
    "Nuclear membrane",
    "Nuclear speckles",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nucleoli rim",
    "Nucleoplasm",
    "Peroxisomes",
    "Plasma membrane",
    "Vesicles",
    "Negative",
)
"""What the released classifiers answer, in their order."""


class SubCellFile(NamedTuple):
    """One released file: its name, and where it is."""

    name: str
    url: str


def encoder_file(channel_set: str, training: str = TRAININGS[0]) -> SubCellFile:
    """Name the file of an encoder.

    Raises:
        InputError: there is no such set or training.

    Examples:
        >>> encoder_file("DNA-Protein").name
        'DNA-Protein_MAE-CellS-ProtS-Pool.pth'
    """
    _check_choice("channel set", channel_set, tuple(CHANNEL_SETS))
    _check_choice("training", training, TRAININGS)
    name = f"{channel_set}_{training}.pth"
    return SubCellFile(name, f"{BUCKET}/models/{name}")


def classifier_files(channel_set: str, training: str = TRAININGS[0]) -> list[SubCellFile]:
    """Name the files of the classifiers on an encoder's embeddings, one for each seed.

    Raises:
        InputError: there is no such set or training.
    """
    encoder_file(channel_set, training)
    folder = f"{channel_set}_{training.partition('-')[0]}_MLP_classifier"
    names = [f"{folder}_seed_{seed}.pth" for seed in SEEDS]
    return [SubCellFile(name, f"{BUCKET}/models/{folder}/{name}") for name in names]


def files_of_set(channel_set: str) -> list[SubCellFile]:
    """List the files of one set of channels, of both trainings.

    Raises:
        InputError: there is no such set.
    """
    return [
        file
        for training in TRAININGS
        for file in (encoder_file(channel_set, training), *classifier_files(channel_set, training))
    ]


def wanted_files(channel_set: str, training: str = TRAININGS[0]) -> list[Wanted]:
    """List the files of a set and training as `download` takes them.

    Raises:
        InputError: there is no such set or training.
    """
    files = [encoder_file(channel_set, training), *classifier_files(channel_set, training)]
    # the downloader joins the two parts of a name by "_", as an image and its channel
    parts = [Path(file.name).stem.rpartition("_") for file in files]
    return [
        Wanted(first, last, file.url) for (first, _, last), file in zip(parts, files, strict=True)
    ]


def missing_file(path: Path) -> InputError:
    """Say where a file that is not there can be had."""
    files = {file.name: file for name in CHANNEL_SETS for file in files_of_set(name)}
    if path.name not in files:
        remedy = f"docs/how-to/subcell.md lists the files of {BUCKET}/models/"
    else:
        held = max((name for name in CHANNEL_SETS if path.name.startswith(f"{name}_")), key=len)
        remedy = (
            f"fetch it with `python tools/download_hpa.py --subcell {held} --out "
            f"{path.parent}`, or from {files[path.name].url}"
        )
    return InputError(
        path, problem="is not there, and nothing is downloaded unasked", remedy=remedy
    )


def class_places() -> list[list[int]]:
    """For each of our 19 localizations, the places of the classes that it holds.

    Which name belongs to which localization is what `hpa_mmdet.localizations` says, with its
    sources, as for every other table of names.

    Examples:
        >>> [CLASSES[place] for place in class_places()[12]]
        ['Centriolar satellite', 'Centrosome']
    """
    holders = [localization_named(name).hpa_index for name in CLASSES]
    return [
        [place for place, holder in enumerate(holders) if holder == hpa_index]
        for hpa_index in range(NUM_LOCALIZATIONS)
    ]


def _check_choice(what: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise InputError(f"SubCell, {what}", found, f"one of {', '.join(choices)}", "correct it")
