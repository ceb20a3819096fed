# On the cells of the JSON (a segmenter's masks): the localization heads are fitted on pretrained
# features, then the network learns with them at low rates, the lower the nearer to the pixels, and
# the heads are fitted once more. Epochs, and the first fit, are judged by the labels of images that
# tools/split_coco.py kept back; tuning that does not help is thrown away. With --instances masks.
_base_ = [
    "../_base_/models/hpa-mask-rcnn_lite0_fpn.py",
    "../_base_/datasets/hpa_validated.py",
    "../_base_/schedules/fit-then-tune.py",
    "../_base_/default_runtime.py",
]
_base_.model.localization.train_with_detector = True
_base_.model.localization.backbone.frozen = False
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
    custom_keys={"localization.backbone": dict(lr_mult=0.05)}
    | {
        f"localization.backbone.network.blocks.{block}.": dict(lr_mult=mult)
        for block, mult in ((3, 0.1), (4, 0.2), (5, 0.35), (6, 0.5))
    },
)
_base_.param_scheduler[0].end = 20
_base_.param_scheduler[1].T_max = 4
_base_.default_hooks.checkpoint.save_best = "image/map"
_base_.default_hooks.checkpoint.rule = "greater"
_base_.custom_hooks.append(dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.01, gamma=50))
