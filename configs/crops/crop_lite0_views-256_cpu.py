# What: the two views of crop_lite0_views_cpu.py on crops of 256 pixels, in which cells of the usual
# 80 pixels are enlarged threefold. From image labels it names the semi-real cells of one seed better
# than crops of 128 pixels do, and than heads on the whole image; those of a second seed it names hardly
# better than these (docs/crop_classifier.md). Four times the work.
# Needs $HPA_DATA with a store train_crops that was extracted with --size 256.
_base_ = ["./crop_lite0_views_cpu.py"]
for part in (
    _base_.model.data_preprocessor,
    _base_.train_dataloader.dataset,
    _base_.train_cfg.fit.dataloader.dataset,
    _base_.train_cfg.fit.more_dataloaders[0].dataset,
):
    part.crop.size_px = 256
del part
