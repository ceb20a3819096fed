# Crops of cells, as tools/extract_crops.py writes them, under one folder ($HPA_DATA):
#   train_crops   a store with the options of `crop`; a model sees what `channels` says of it
# (an import statement would make mmengine read the file by other rules)
data_root = __import__("os").environ.get("HPA_DATA", "data/hpa")
channels = ("red", "green", "blue", "yellow")
crop = dict(channels=(*channels, "mask"), size_px=128)

train_dataloader = dict(
    batch_size=8,  # images, each with up to `max_cells` of its cells
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="BalancedSampler", balance="none"),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        type="CropBagDataset",
        store=data_root + "/train_crops",
        crop=crop,
        max_cells=16,
        # free exact labels: in a fifth of the bags another channel stands in for the protein
        substitute_prob=0.2,
    ),
)
# whole bags without augmentation, for the features that the heads are fitted on
fit_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(type="CropBagDataset", store=data_root + "/train_crops", crop=crop),
)
substituted_dataloader = dict(
    fit_dataloader, dataset=dict(fit_dataloader["dataset"], substitute_prob=1.0)
)
# whole images are cut at prediction, so that masks of any segmenter can be given
test_pipeline = [
    dict(type="LoadHpaChannels", channels=channels),
    dict(type="PackCells"),
]
