# As crops.py for a GPU and a large data set: crops of 224 pixels, 12 epochs, every epoch
# judged on the images that tools/split_coco.py kept back, the best one kept, an early end.
_base_ = [
    "./datasets/hpa_crops_validated.py",
    "./schedules/fit-then-tune.py",
    "./default_runtime.py",
]
_base_.train_cfg.max_epochs = 12
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.more_dataloaders = [_base_.substituted_dataloader]
_base_.train_cfg.fit.exponents_dataloader = _base_.exponents_dataloader
_base_.param_scheduler[0].end = 500
_base_.param_scheduler[1].T_max = 12
_base_.default_hooks.checkpoint.save_best = "image/map"
_base_.default_hooks.checkpoint.rule = "greater"
_base_.custom_hooks.extend(
    [
        # remembers some 1000 steps, at first fewer
        dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.001, gamma=500),
        dict(
            type="EarlyStoppingHook",
            monitor="image/map",
            rule="greater",
            min_delta=0.001,
            patience=4,
        ),
    ]
)
