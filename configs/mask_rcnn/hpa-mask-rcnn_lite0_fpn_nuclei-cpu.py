# What: nuclei in one channel, trained on a few hand-drawn images in minutes without a GPU.
# Needs $HPA_DATA with train.json from tools/convert_coco.py and the pictures in train/.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.model.backbone.channels = (0,)
_base_.model.localization.backbone = None  # one kind of object: the detector's maps will do
_base_.train_dataloader.dataset.pipeline[0].channels = ("blue",)
_base_.train_dataloader.dataset.pipeline[2].transforms.append(
    dict(type="RandomCrop", height=640, width=640, pad_if_needed=True)
)
_base_.train_dataloader.dataset = dict(
    type="RepeatDataset", times=40, dataset=_base_.train_dataloader.dataset
)
_base_.train_cfg.fit.more_dataloaders = []  # there is no other channel
_base_.train_cfg.fit.dataloader.dataset.pipeline[0].channels = ("blue",)
_base_.test_pipeline[0].channels = ("blue",)
