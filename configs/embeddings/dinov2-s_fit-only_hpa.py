# What: our heads on a vision transformer of timm from a local file, here DINOv2's small one;
# crops of 224 pixels. --cfg-options model.backbone.weights=FILE
_base_ = ["../crops/crop_lite0_bag-lse_cpu.py"]
crop = dict(_base_.crop, size_px=224)
_base_.model.data_preprocessor.crop = crop
_base_.model.data_preprocessor.channels = ("red", "green", "blue")
_base_.model.backbone = dict(
    type="TimmEmbedder", model_name="vit_small_patch14_dinov2", channels=3, size_px=224
)
_base_.train_dataloader.dataset.crop = crop
_base_.train_cfg.fit.dataloader.dataset.crop = crop
_base_.train_cfg.fit.more_dataloaders[0].dataset.crop = crop
_base_.train_cfg.max_epochs = 0
param_scheduler = None
custom_hooks = []
