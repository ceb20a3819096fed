# What: about a hundred cells that all show the label of their image. EfficientNet-Lite1 sees the
# protein alone, and with the nucleus as a third colour; one linear layer on its frozen features
# names the cells, solved exactly. Nothing is tuned: on a hundred cells that gained little, and
# on more of them tuned crops lost to frozen features (docs/crop_classifier.md). `make real-cells`.
_base_ = ["./crop_lite0_views_cpu.py"]
_base_.model.backbone.model_name = "tf_efficientnet_lite1"
_base_.model.backbone.weights = "lite1"
_base_.model.localization.loss = dict(type="InheritedLoss")
_base_.model.localization.hidden = (0,)
# each cell shows its image's label, so the others are better evidence than the cell alone
_base_.model.localization.image_exponent = 1.0
_base_.model.localization.cells_exponent = 3.0
_base_.train_dataloader.num_workers = 0
_base_.train_dataloader.persistent_workers = False
_base_.train_cfg.fit.dataloader.num_workers = 0
_base_.train_cfg.fit.more_dataloaders = []
_base_.train_cfg.fit.few_images = 100
