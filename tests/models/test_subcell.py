"""SubCell against what its authors' code gives, on toy files in the layout of the released."""

from pathlib import Path

import numpy as np
import pytest
import torch
from subcell_toy import attention_of, load_encoder, write_classifier, write_encoder

from hpa_mmdet.download.subcell import (
    CHANNEL_SETS,
    CLASSES,
    class_places,
    classifier_files,
    encoder_file,
    files_of_set,
)
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.models.subcell import load_classifiers, read_encoder

HEADS = 4  # of the toy files


@pytest.mark.parametrize("channels", ["rybg", "bg"])
def test_tokens_embedding_attention_and_probabilities_agree(real_data: Path, channels: str) -> None:
    folder = real_data / "subcell_tiny"
    expected = np.load(folder / f"{channels}_expected.npz")
    encoder = load_encoder(folder / f"{channels}_encoder.pth", heads=HEADS)
    classifiers = load_classifiers(sorted(folder.glob(f"{channels}_classifier_s*.pth")))
    crops = torch.from_numpy(expected["crops"]).float()
    with torch.no_grad():
        close(encoder.tokens(crops)[:, :5], expected["tokens"])
        close(encoder(crops), expected["embedding"])
        close(attention_of(encoder, crops), expected["pool_attention"])
        close(classifiers(encoder(crops)), expected["probabilities"])


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    assert tuple(found.shape) == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5, rtol=0)


def attend(tokens: torch.Tensor, state: dict, layer: str, heads: int) -> torch.Tensor:
    """Self-attention of one crop's tokens, written out head by head."""

    def apply(name: str, values: torch.Tensor) -> torch.Tensor:
        return values @ state[f"{layer}.{name}.weight"].T + state[f"{layer}.{name}.bias"]

    parts = [apply(f"attention.attention.{name}", tokens) for name in ("query", "key", "value")]
    width = tokens.shape[1] // heads
    outs = []
    for number in range(heads):
        query, key, value = (part[:, number * width : (number + 1) * width] for part in parts)
        outs.append((query @ key.T / width**0.5).softmax(-1) @ value)
    return apply("attention.output.dense", torch.cat(outs, 1))


def test_an_encoder_computes_what_its_description_says(tmp_path: Path) -> None:
    state = write_encoder(tmp_path / "encoder.pth")
    encoder = load_encoder(tmp_path / "encoder.pth", heads=2)
    crop = torch.randint(0, 255, (2, 12, 12), generator=torch.Generator().manual_seed(3)).float()
    scaled = (crop - crop.min()) / (crop.max() - crop.min() + 1e-6)
    weight = state["encoder.embeddings.patch_embeddings.projection.weight"]
    patches = [
        (weight * scaled[:, y : y + 4, x : x + 4]).sum((1, 2, 3))
        for y in (0, 4, 8)
        for x in (0, 4, 8)
    ]
    tokens = torch.stack([state["encoder.embeddings.cls_token"][0, 0], *patches])
    tokens = tokens + state["encoder.embeddings.position_embeddings"][0]
    norm = torch.nn.functional.layer_norm
    for number in range(2):
        layer = f"encoder.encoder.layer.{number}"
        tokens = tokens + attend(norm(tokens, (8,), eps=1e-12), state, layer, heads=2)
        inner = norm(tokens, (8,), eps=1e-12) @ state[f"{layer}.intermediate.dense.weight"].T
        outer = torch.nn.functional.gelu(inner) @ state[f"{layer}.output.dense.weight"].T
        tokens = tokens + outer
    tokens = norm(tokens, (8,), eps=1e-12)
    value = torch.tanh(tokens @ state["pool_model.attention_v.1.weight"].T)
    gate = torch.nn.functional.gelu(tokens @ state["pool_model.attention_u.1.weight"].T)
    weights = ((value * gate) @ state["pool_model.attention.weight"].T).softmax(0)
    with torch.no_grad():
        close(encoder.tokens(crop[None])[0], tokens.numpy())
        close(encoder(crop[None])[0], (weights.T @ tokens).flatten().numpy())
        close(attention_of(encoder, crop[None])[0], weights.T[:, 1:].reshape(2, 3, 3).numpy())
    assert encoder.embedding_dim == 16


def test_the_range_of_a_crop_does_not_matter_but_its_place_among_channels_does(
    tmp_path: Path,
) -> None:
    write_encoder(tmp_path / "encoder.pth")
    encoder = load_encoder(tmp_path / "encoder.pth", heads=2)
    crops = torch.rand(1, 2, 8, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = encoder(crops)
        close(encoder(crops * 200 + 3), found.numpy())
        assert (encoder(crops * torch.tensor([1.0, 0.1])[:, None, None]) - found).abs().max() > 0.01
        assert torch.isfinite(encoder(torch.zeros_like(crops))).all()


def test_classifiers_are_averaged_after_the_sigmoid(tmp_path: Path) -> None:
    paths = [tmp_path / f"s{seed}.pth" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        write_classifier(path, seed=seed)
    embeddings = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        single = [load_classifiers([path])(embeddings) for path in paths]
        close(load_classifiers(paths)(embeddings), torch.stack(single).mean(0).numpy())
    assert tuple(single[0].shape) == (3, 31)
    assert (single[0] - single[1]).abs().max() > 0.01


def test_a_missing_file_is_named_with_its_address(tmp_path: Path) -> None:
    name = encoder_file("all_channels").name
    with pytest.raises(
        InputError,
        match=r"all_channels_MAE-CellS-ProtS-Pool\.pth: is not there, and nothing is downloaded "
        r"unasked; fetch it with .*--subcell all_channels --out .*or from "
        r"https://czi-subcell-public\.s3\.amazonaws\.com/models/all_channels_MAE-CellS",
    ):
        read_encoder(tmp_path / name)
    with pytest.raises(
        InputError, match=r"mine\.pth: is not there.*docs/how-to/subcell\.md lists the files"
    ):
        load_classifiers([tmp_path / "mine.pth"])


def test_files_of_another_layout_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pth"
    state = write_encoder(path)
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"encoder\.pth: found other tensors .*an encoder of Sub"):
        read_encoder(path)
    with pytest.raises(InputError, match=r"found other tensors .*expected a classifier of SubCell"):
        load_classifiers([path])
    del state["encoder.encoder.layer.1.output.dense.bias"]
    torch.save(state, path)
    with pytest.raises(InputError, match=r"found other tensors .*layer\.1\.output\.dense\.bias"):
        read_encoder(path)
    write_classifier(path)
    content = torch.load(path)
    del content["6.bias"]
    torch.save(content, path)
    with pytest.raises(InputError, match=r"expected a classifier of SubCell"):
        load_classifiers([path])
    torch.save({"a": Path("x")}, path)
    with pytest.raises(InputError, match=r"a pickle that names"):
        read_encoder(path)


def test_every_class_belongs_to_one_of_our_localizations() -> None:
    places = class_places()
    assert sorted(place for held in places for place in held) == list(range(31))
    held = {NAMES[k]: [CLASSES[place] for place in places[k]] for k in range(19)}
    assert held["Plasma membrane"] == ["Cell junctions", "Plasma membrane"]
    assert held["Microtubules"] == ["Cytokinetic bridge", "Microtubules", "Midbody"]
    assert held["Vesicles and punctate cytosolic patterns"] == [
        "Cytoplasmic bodies",
        "Endosomes",
        "Lipid droplets",
        "Lysosomes",
        "Peroxisomes",
        "Vesicles",
    ]
    assert held["Negative"] == ["Negative"]


def test_released_files_have_the_names_of_the_bucket() -> None:
    names = [file.name for channel_set in CHANNEL_SETS for file in files_of_set(channel_set)]
    assert len(names) == len(set(names)) == 3 * 2 * len(CHANNEL_SETS)
    assert [file.url.rpartition("/models/")[2] for file in classifier_files("DNA-Protein")] == [
        f"DNA-Protein_MAE_MLP_classifier/DNA-Protein_MAE_MLP_classifier_seed_{seed}.pth"
        for seed in (0, 1)
    ]
    with pytest.raises(InputError, match=r"SubCell, channel set: found rybg, expected one of all"):
        encoder_file("rybg")
    with pytest.raises(InputError, match=r"SubCell, training: found MAE, expected one of MAE-Cell"):
        classifier_files("DNA-Protein", "MAE")
