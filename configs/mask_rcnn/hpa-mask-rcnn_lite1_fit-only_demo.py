# What: no detector's epochs: only the localization heads are fitted, on the cells of the JSON
# (a segmenter's masks). For prediction with given masks (tools/infer.py --instances masks).
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.train_cfg.max_epochs = 0
param_scheduler = None  # there are no steps to schedule
# The protein alone, and with the nucleus as a third colour; both also at half the size, since
# nothing is known of how large the cells of a user's images are. Of Lite0, Lite1 and Lite2, Lite1
# named real cells best (docs/crop_classifier.md).
_base_.model.localization.backbone = dict(
    type="TimmViews",
    model_name="tf_efficientnet_lite1",
    views=((1, 1, 1), (1, 1, 2)),
    input_strides=(1, 2),
    symmetries=2,
    weights="lite1",
    frozen=True,
)
_base_.model.localization.feature_dim = 2 * 2 * 2 * (24 + 40 + 112 + 320)
# one linear layer, which a hidden one beside it hardly betters (docs/weak_supervision.md); with few
# images it is solved exactly
_base_.model.localization.hidden = (0,)
_base_.train_cfg.fit.few_images = 100
