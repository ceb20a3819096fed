# The ladder: small networks from scratch on crops of 64 pixels, every crop told its image's
# labels, as the earlier work trained them; all rungs have the same budget.
_base_ = ["./crops.py"]
crop = dict(_base_.crop, size_px=64)
_base_.train_dataloader.dataset.crop = crop
_base_.train_cfg.fit.dataloader.dataset.crop = crop
_base_.train_dataloader.batch_size = 2
_base_.train_dataloader.dataset.substitute_prob = 0.0
_base_.train_cfg.max_epochs = 30
_base_.train_cfg.fit.first = False  # nothing is pretrained that a fit could look at
_base_.train_cfg.fit.more_dataloaders = []
_base_.param_scheduler[1].T_max = 30
model = dict(
    type="CropClassifier",
    data_preprocessor=dict(
        type="CropPreprocessor", crop=crop, channels=("green",), augmentation=dict()
    ),
    backbone=dict(type="SmallNetwork", in_channels=1, filters=(16, 32, 64, 128)),
    localization=dict(
        type="LocalizationBranch",
        loss=dict(type="InheritedLoss"),
        hidden=128,
        dropout=0.0,
        negative="derived",
        image_exponent=0.0,
        cells_exponent=0.0,
    ),
)
