# What: the demo, on embedded synthetic images, in minutes on two cores without a GPU.
# Needs $HPA_DATA with train.json and train/, which `make demo` makes.
_base_ = [
    "../_base_/models/hpa-mask-rcnn_lite0_fpn.py",
    "../_base_/datasets/hpa_instance.py",
    "../_base_/schedules/detect-then-fit_1x.py",
    "../_base_/default_runtime.py",
]
_base_.train_dataloader.num_workers = 1
_base_.fit_dataloader.num_workers = 1
_base_.substituted_dataloader.num_workers = 1
_base_.train_cfg.max_epochs = 3
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.more_dataloaders = [_base_.substituted_dataloader]
_base_.optim_wrapper.optimizer.lr = 1e-3
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", T_max=3, eta_min=1e-5, convert_to_iter_based=True),
]
