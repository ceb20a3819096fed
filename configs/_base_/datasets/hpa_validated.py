# As hpa_instance.py, parted by tools/split_coco.py DIR/train.json into train_train.json and
# train_val.json; every epoch's detector is scored on the second.
_base_ = ["./hpa_instance.py"]
_base_.train_dataloader.dataset.ann_file = _base_.data_root + "/train_train.json"
_base_.fit_dataloader.dataset.ann_file = _base_.data_root + "/train_train.json"
_base_.substituted_dataloader.dataset.ann_file = _base_.data_root + "/train_train.json"

val_file = _base_.data_root + "/train_val.json"
val_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="HpaCellDataset",
        ann_file=val_file,
        data_prefix=dict(img=_base_.data_root + "/train"),
        test_mode=True,
        pipeline=_base_.test_pipeline,
    ),
)
val_cfg = dict(type="ValLoop")
# its cells' features, on which it is chosen how much an image says of its cells
exponents_dataloader = dict(
    _base_.fit_dataloader, dataset=dict(_base_.fit_dataloader.dataset, ann_file=val_file)
)
# cells/ by masks alone, image/ by image labels; the others compare with the JSON's label sets
# of cells, which are the images' where nobody looked at the cells
val_evaluator = [
    dict(type="CellDetectionMetric", ann_file=val_file),
    dict(type="ImageLocalizationMetric", ann_file=val_file),
    dict(type="ContestMetric", ann_file=val_file),
    dict(type="CellLocalizationMetric", ann_file=val_file),
]
