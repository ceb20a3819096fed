# EfficientNet-Lite0 on crops of the green channel, masked, from the ImageNet weights that the
# extra `demo` installs. The heads and losses are those of the Mask R-CNN's localization branch.
model = dict(
    type="CropClassifier",
    data_preprocessor=dict(
        type="CropPreprocessor",
        crop=dict(channels=("red", "green", "blue", "yellow", "mask"), size_px=128),
        channels=("green",),
        augmentation=dict(),
    ),
    backbone=dict(
        type="TimmFeatures", model_name="tf_efficientnet_lite0", channels=(0,), weights="lite0"
    ),
    localization=dict(
        type="LocalizationBranch",
        # absent_weight: a label that the image lacks is a certain negative for each cell
        loss=dict(type="BagLoss", pooling="log_sum_exp", absent_weight=1.0),
        hidden=(0, 256),
        negative="derived",
        image_exponent=None,
        cells_exponent=None,
        exact_loss_weight=0.2,
    ),
)
