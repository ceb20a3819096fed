# What: crops named from image labels by heads on a frozen EfficientNet-Lite0 that sees the protein
# alone and with the nucleus as a third colour, each in two symmetries. Minutes on two cores; nothing
# is tuned. Needs $HPA_DATA with the store train_crops, which tools/extract_crops.py writes.
_base_ = ["./crop_lite0_bag-lse_cpu.py"]
_base_.model.data_preprocessor.channels = ("green", "blue")
_base_.model.backbone = dict(
    type="TimmViews",
    model_name="tf_efficientnet_lite0",
    views=((0, 0, 0), (0, 0, 1)),
    symmetries=2,
    weights="lite0",
)
_base_.train_cfg.max_epochs = 0
param_scheduler = None  # there are no steps to schedule
