# What the crop experiments share beside the model: crops without validation, a fit of the
# heads before epochs of everything, weights averaged over the steps.
_base_ = ["./datasets/hpa_crops.py", "./schedules/fit-then-tune.py", "./default_runtime.py"]
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.more_dataloaders = [_base_.substituted_dataloader]
_base_.custom_hooks.append(dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.01, gamma=50))
