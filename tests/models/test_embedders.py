"""Backbones that give a vector for a crop, and SubCell's classifiers in place of our heads."""

from pathlib import Path

import pytest
import timm
import torch
from mmdet.structures import DetDataSample
from subcell_toy import SIZES, load_encoder, write_classifier, write_encoder

from hpa_mmdet.download.subcell import class_places
from hpa_mmdet.errors import InputError
from hpa_mmdet.models import CropClassifier, SubCellBranch, SubCellEmbedder, TimmEmbedder
from hpa_mmdet.models.crop_preprocessor import CropBatch
from hpa_mmdet.models.subcell import load_classifiers

CROP = {"channels": ["red", "green", "mask"], "size_px": 16}
PREPROCESSOR = {"type": "CropPreprocessor", "crop": CROP, "image_channels": ["red", "green"]}


def crops(count: int, channels: int = 2) -> torch.Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(0)) * 255


def test_a_subcell_embedder_gives_what_its_file_gives(tmp_path: Path) -> None:
    write_encoder(tmp_path / "encoder.pth")
    embedder = SubCellEmbedder("DNA-Protein", str(tmp_path / "encoder.pth"), sizes=SIZES)
    embedder.init_weights()
    assert embedder.out_channels == (16,)
    embedder.train()
    assert not embedder.encoder.training
    assert not any(parameter.requires_grad for parameter in embedder.parameters())
    encoder = load_encoder(tmp_path / "encoder.pth", heads=2)
    with torch.no_grad():
        torch.testing.assert_close(embedder(crops(3))[0][:, :, 0, 0], encoder(crops(3)))


def test_a_file_of_other_channels_is_refused(tmp_path: Path) -> None:
    write_encoder(tmp_path / "encoder.pth", channels=3)
    embedder = SubCellEmbedder("DNA-Protein", str(tmp_path / "encoder.pth"), sizes=SIZES)
    with pytest.raises(InputError, match=r"encoder\.pth: found another encoder .*patch_embed"):
        embedder.init_weights()
    with pytest.raises(InputError, match=r"config, channel_set: found rybg, expected one of all_"):
        SubCellEmbedder("rybg")


def test_any_network_of_timm_takes_a_local_file(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224"
    options = {"depth": 2, "embed_dim": 24, "num_heads": 2}
    stock = timm.create_model(name, num_classes=5, img_size=48, **options)
    torch.save(stock.state_dict(), tmp_path / "vit.pth")
    embedder = TimmEmbedder(name, 2, str(tmp_path / "vit.pth"), 32, options=options)
    embedder.init_weights()
    assert embedder.out_channels == (24,)
    block = embedder.network.blocks[1].mlp.fc1.weight
    torch.testing.assert_close(block, stock.blocks[1].mlp.fc1.weight)
    assert embedder.network.pos_embed.shape[1] == 5
    pictures = torch.rand(3, 2, 32, 32)
    assert tuple(embedder(pictures)[0].shape) == (3, 24, 1, 1)
    torch.save({"blocks.0.norm1.weight": torch.zeros(3)}, tmp_path / "vit.pth")
    with pytest.raises(InputError, match=r"vit\.pth: found other tensors .*those of timm's vit_t"):
        embedder.init_weights()


def classifier(localization: dict[str, object]) -> CropClassifier:
    backbone = {"type": "SubCellEmbedder", "channel_set": "DNA-Protein", "sizes": SIZES}
    return CropClassifier(backbone, localization, PREPROCESSOR, crops_at_once=2)


@pytest.mark.usefixtures("mmdet_scope")
def test_heads_see_each_crops_vector_and_the_mean_of_an_image() -> None:
    loss = {"type": "InheritedLoss"}
    model = classifier({"type": "LocalizationBranch", "loss": loss, "hidden": 0}).eval()
    index = torch.tensor([0, 0, 2])
    batch = CropBatch(crops(3), torch.ones(3, 1, 16, 16), index)
    with torch.no_grad():
        cells, images = model(batch, [DetDataSample()] * 3)
        expected = model.backbone.encoder(crops(3))
        torch.testing.assert_close(cells, expected)
        torch.testing.assert_close(images[0], expected[:2].mean(0))
        assert not images[1].any()
        samples = [DetDataSample() for _ in range(3)]
        found = model(batch, samples, mode="predict")
    assert [len(sample.pred_instances) for sample in found] == [2, 0, 1]
    torch.testing.assert_close(found[2].pred_instances.embeddings, expected[2:])


@pytest.mark.usefixtures("mmdet_scope")
def test_the_released_classifiers_name_cells_by_the_likeliest_class_they_hold(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"s{seed}.pth" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        write_classifier(path, seed=seed)
    weights = [str(path) for path in paths]
    model = classifier({"type": "SubCellBranch", "weights": weights, "hidden": (9, 7)}).eval()
    model.init_weights()
    batch = CropBatch(crops(3), torch.ones(3, 1, 16, 16), torch.tensor([0, 0, 0]))
    with torch.no_grad():
        (sample,) = model(batch, [DetDataSample()], mode="predict")
        embeddings = model.backbone.encoder(crops(3))
        by_class = load_classifiers(paths)(embeddings)
    for hpa_index, held in enumerate(class_places()):
        expected = by_class[:, held].max(1).values
        found = sample.pred_instances.localization_scores[:, hpa_index]
        torch.testing.assert_close(found, expected)
    assert tuple(sample.image_probs.shape) == (19,)
    assert model.localization.needs_no_training


def test_classifiers_of_another_encoder_are_refused(tmp_path: Path) -> None:
    write_classifier(tmp_path / "s0.pth", ins=12)
    branch = SubCellBranch(16, [str(tmp_path / "s0.pth")], (9, 7))
    with pytest.raises(InputError, match=r"s0\.pth: found another classifier .*16 inputs and 31"):
        branch.init_weights()
