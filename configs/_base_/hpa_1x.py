# What the real experiments share beside the model: data with validation, 12 epochs, weights
# averaged over the steps, the best epoch kept and fitted on, an early end, pictures.
_base_ = [
    "./datasets/hpa_validated.py",
    "./schedules/detect-then-fit_1x.py",
    "./default_runtime.py",
]
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.more_dataloaders = [_base_.substituted_dataloader]
_base_.train_cfg.fit.exponents_dataloader = _base_.exponents_dataloader
# the names of cells are learnt after the last epoch, so epochs are judged by their cells
_base_.default_hooks.checkpoint.save_best = "cells/ap_60"
_base_.default_hooks.checkpoint.rule = "greater"
_base_.custom_hooks.extend(
    [
        # remembers some 1000 steps, at first fewer
        dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.001, gamma=500),
        dict(
            type="EarlyStoppingHook",
            monitor="cells/ap_60",
            rule="greater",
            min_delta=0.001,
            patience=4,
        ),
        dict(type="PredictionPictures", dataset=_base_.val_dataloader.dataset, interval=3),
    ]
)
