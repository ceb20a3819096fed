# What: no detector's epochs: on the cells of the JSON (a segmenter's masks) the localization heads
# are fitted on pretrained features, then the network that names cells learns with them at low
# rates, the lower the nearer to the pixels, and the heads are fitted once more on what it became.
# Epochs, and the first fit before them, are judged by the labels of images that were kept back
# (tools/split_coco.py), so that tuning which does not help is thrown away.
# For tools/train.py and tools/infer.py with --instances masks.
_base_ = [
    "../_base_/models/hpa-mask-rcnn_lite0_fpn.py",
    "../_base_/datasets/hpa_validated.py",
    "../_base_/schedules/fit-then-tune.py",
    "../_base_/default_runtime.py",
]
branch = _base_.model.localization
branch.train_with_detector = True
branch.backbone.frozen = False
_base_.train_cfg.max_epochs = 4
_base_.train_cfg.refit = True
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.more_dataloaders = [_base_.substituted_dataloader]
_base_.train_cfg.fit.exponents_dataloader = _base_.exponents_dataloader
_base_.train_dataloader.batch_size = 8  # bags of several images in each step
_base_.train_dataloader.dataset.pipeline.insert(
    2, dict(type="SubstituteChannel", prob=0.2, channels=_base_.channels)
)
_base_.optim_wrapper.optimizer.lr = 2e-4  # of the heads
_base_.optim_wrapper.paramwise_cfg = dict(
    norm_decay_mult=0.0,
    custom_keys={
        "localization.backbone": dict(lr_mult=0.05),
        "localization.backbone.network.blocks.3.": dict(lr_mult=0.1),
        "localization.backbone.network.blocks.4.": dict(lr_mult=0.2),
        "localization.backbone.network.blocks.5.": dict(lr_mult=0.35),
        "localization.backbone.network.blocks.6.": dict(lr_mult=0.5),
    },
)
_base_.param_scheduler[0].end = 20
_base_.param_scheduler[1].T_max = 4
_base_.default_hooks.checkpoint.save_best = "image/map"
_base_.default_hooks.checkpoint.rule = "greater"
_base_.custom_hooks.extend(
    [
        # remembers some 100 steps, at first fewer
        dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.01, gamma=50),
        dict(
            type="EarlyStoppingHook",
            monitor="image/map",
            rule="greater",
            min_delta=0.001,
            patience=4,
        ),
    ]
)
del branch
