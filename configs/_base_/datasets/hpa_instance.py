# Cells with image labels, as tools/convert_coco.py writes them, under one folder ($HPA_DATA):
#   train.json, val.json   and the channel files in   train/
# (an import statement would make mmengine read the file by other rules)
data_root = __import__("os").environ.get("HPA_DATA", "data/hpa")
channels = ("red", "green", "blue", "yellow")
white_level = None  # full brightness in 16-bit files; None: tools/train.py measures it

train_pipeline = [
    dict(type="LoadHpaChannels", channels=channels),
    dict(type="LoadCells"),
    dict(
        type="AlbumentationsBridge",
        transforms=[
            dict(type="HorizontalFlip", p=0.5),
            dict(type="VerticalFlip", p=0.5),
            dict(type="RandomRotate90", p=0.75),
            dict(type="RandomScale", scale_limit=0.25, p=0.5),
        ],
    ),
    dict(type="PackCells"),
]
# without augmentation, for the features that the localization heads are fitted on
fit_pipeline = [
    dict(type="LoadHpaChannels", channels=channels),
    dict(type="LoadCells"),
    dict(type="PackCells", min_side_px=1),
]
# the same images once more with another channel in place of the protein's: free exact labels
substituted_pipeline = [
    dict(type="LoadHpaChannels", channels=channels),
    dict(type="LoadCells"),
    dict(type="SubstituteChannel", prob=1.0, channels=channels),
    dict(type="PackCells", min_side_px=1),
]
test_pipeline = [
    dict(type="LoadHpaChannels", channels=channels),
    dict(type="PackCells"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="HpaCellDataset",
        ann_file=data_root + "/train.json",
        data_prefix=dict(img=data_root + "/train"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
fit_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="HpaCellDataset",
        ann_file=data_root + "/train.json",
        data_prefix=dict(img=data_root + "/train"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=fit_pipeline,
    ),
)
substituted_dataloader = dict(
    fit_dataloader, dataset=dict(fit_dataloader["dataset"], pipeline=substituted_pipeline)
)
