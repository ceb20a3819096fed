# What: the network that names cells is tuned, too: its heads are fitted on the pretrained
# features first, then it learns with the detector at low rates, the lower the nearer to the
# pixels, and the heads are fitted once more on what it became. Epochs are judged by image labels
# that were kept back. A fifth of the images show another channel in the protein's place, which
# gives exact labels.
# NOT MEASURED at this size, since no GPU was at hand: nothing says yet that it beats
# hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py, or from how many images on. Of 100 to 3,000 small semi-real
# images EfficientNet-Lite0 never gained by it (docs/how-to/train.md). Needs some 3 times the time of a
# step.
_base_ = ["../_base_/models/hpa-mask-rcnn_r50_fpn.py", "../_base_/hpa_1x.py"]
_base_.train_cfg.type = "FitThenTuneLoop"
_base_.train_cfg.refit = True
branch = _base_.model.localization
branch.train_with_detector = True
branch.backbone.frozen = False
branch.backbone.checkpointing = True  # its maps at 2048 pixels are what fills a GPU
_base_.train_dataloader.dataset.pipeline.insert(
    2, dict(type="SubstituteChannel", prob=0.2, channels=_base_.channels)
)
_base_.optim_wrapper.constructor = "QuietOptimWrapperConstructor"
_base_.optim_wrapper.paramwise_cfg = dict(
    norm_decay_mult=0.0,
    custom_keys={  # the longest that fits counts; the detector keeps the rate itself
        "localization": dict(lr_mult=5.0),  # its heads
        "localization.backbone": dict(lr_mult=0.1),
        "localization.backbone.network.layer3": dict(lr_mult=0.25),
        "localization.backbone.network.layer4": dict(lr_mult=0.5),
    },
)
_base_.default_hooks.checkpoint.save_best = "image/map"
for hook in _base_.custom_hooks:
    if hook.type == "EarlyStoppingHook":
        hook.monitor = "image/map"
del branch, hook
