# What: log-sum-exp pooling, and free exact labels: the same images once more with another
# channel in place of the protein's, in a loss of their own. Measured in
# docs/weak_supervision.md; compare with ..._bag-mean_demo.py.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-mean_demo.py"]
_base_.model.localization.loss = dict(type="BagLoss", pooling="log_sum_exp")
substituted_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="HpaCellDataset",
        ann_file=_base_.data_root + "/train.json",
        data_prefix=dict(img=_base_.data_root + "/train"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type="LoadHpaChannels", channels=_base_.channels),
            dict(type="LoadCells"),
            dict(type="SubstituteChannel", prob=1.0, channels=_base_.channels),
            dict(type="PackCells", min_side_px=1),
        ],
    ),
)
_base_.train_cfg.fit.more_dataloaders = [substituted_dataloader]
