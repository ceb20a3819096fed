# As hpa_crops.py in crops of 224 pixels, with the stores of the parts that
# tools/split_coco.py DIR/train.json makes: train_train_crops and train_val_crops.
_base_ = ["./hpa_crops.py"]
crop = dict(_base_.crop, size_px=224)
_base_.train_dataloader.dataset.update(store=_base_.data_root + "/train_train_crops", crop=crop)
_base_.fit_dataloader.dataset.update(store=_base_.data_root + "/train_train_crops", crop=crop)
_base_.substituted_dataloader.dataset.update(
    store=_base_.data_root + "/train_train_crops", crop=crop
)
val_dataloader = dict(
    _base_.fit_dataloader,
    drop_last=False,
    dataset=dict(type="CropBagDataset", store=_base_.data_root + "/train_val_crops", crop=crop),
)
val_cfg = dict(type="ValLoop")
# on which it is chosen how much an image says of its cells
exponents_dataloader = val_dataloader
# image/ by image labels; localization/ compares with the JSON's label sets of cells, which are
# the images' where nobody looked at the cells
val_evaluator = [
    dict(type="ImageLocalizationMetric", ann_file=_base_.data_root + "/train_val.json"),
    dict(type="CellLocalizationMetric", ann_file=_base_.data_root + "/train_val.json"),
]
