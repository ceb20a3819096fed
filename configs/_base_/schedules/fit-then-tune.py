# The heads on frozen features, then epochs of everything: a low rate that falls along a cosine
# after a warm-up, weights averaged over the steps.
train_cfg = dict(type="FitThenTuneLoop", max_epochs=8, fit=dict(epochs=50, batch_images=32))
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="QuietOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.02),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=40),
    dict(type="CosineAnnealingLR", T_max=8, eta_min=0, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
