# SubCell (ViT-B/16, trained on the whole Human Protein Atlas) as frozen eyes of our heads.
# Its weights come from files under $SUBCELL_DIR: docs/how-to/subcell.md.
# Crops as it was trained on: 81.92 micrometres around the middle of the cell's box (1024 pixels
# of 0.08), the mask grown by 0.56 (7 pixels), all else 0, scaled to 448 pixels. The network
# scales each crop by its own minimum and maximum over all channels.
weights_dir = "{{$SUBCELL_DIR:weights/subcell}}"
subcell_crop = dict(
    channels=("red", "yellow", "blue", "green", "mask"),
    size_px=448,
    framing="fixed",
    um_per_px=81.92 / 448,
    pixel_um=0.08,
    grow_um=0.56,
    linear=True,
)
model = dict(
    type="CropClassifier",
    crops_at_once=8,
    data_preprocessor=dict(
        type="CropPreprocessor",
        crop=subcell_crop,
        channels=("red", "yellow", "blue", "green"),
        root=False,
        mean=0.0,
        std=1.0,
    ),
    backbone=dict(
        type="SubCellEmbedder",
        channel_set="all_channels",
        weights=weights_dir + "/all_channels_MAE-CellS-ProtS-Pool.pth",
    ),
    localization=dict(
        type="LocalizationBranch",
        loss=dict(type="BagLoss", pooling="log_sum_exp", absent_weight=1.0),
        hidden=(0, 256),
        negative="derived",
        image_exponent=None,
        cells_exponent=None,
    ),
)
