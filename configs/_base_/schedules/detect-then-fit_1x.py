# 12 epochs of the detector, then the localization heads on cached features.
train_cfg = dict(
    type="DetectThenFitLoop",
    max_epochs=12,
    fit=dict(epochs=50, batch_images=32),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", T_max=12, eta_min=2e-6, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
