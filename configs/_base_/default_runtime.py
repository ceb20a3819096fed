# What every experiment shares: scope, our registered classes, hooks, logs, seed.
default_scope = "mmdet"
custom_imports = dict(
    imports=[
        "hpa_mmdet.models",
        "hpa_mmdet.datasets",
        "hpa_mmdet.evaluation",
        "hpa_mmdet.fit",
        "hpa_mmdet.hooks",
        "hpa_mmdet.compat.amp",
        "hpa_mmdet.compat.runner",
    ],
    allow_failed_imports=False,
)
runner_type = "HpaRunner"
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [
    dict(type="StartUpChecks"),
    dict(type="MeasureClasses"),
    dict(type="ProgressBar"),
    dict(type="CountLeftOutCells"),
    dict(type="FillImageCache"),  # does nothing where no pipeline names a cache
]
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # the others wait while one process fits the heads
    dist_cfg=dict(backend="nccl", timeout=7200),
)
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(type="DetLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"
randomness = dict(seed=0, deterministic=False)
load_from = None
resume = False
