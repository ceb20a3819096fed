# What: tuning on about a hundred cells that all show the label of their image: many epochs of
# few steps, low rates, strong augmentation, no substituted channels. `make real-cells`.
_base_ = ["./crop_lite0_bag-lse_cpu.py"]
_base_.model.data_preprocessor.augmentation = dict(scale=1.3, brightness=1.6, turn_prob=0.8)
_base_.train_dataloader.dataset.substitute_prob = 0.0
_base_.train_dataloader.batch_size = 4
_base_.train_dataloader.num_workers = 0
_base_.train_dataloader.persistent_workers = False
_base_.train_cfg.fit.dataloader.num_workers = 0
_base_.train_cfg.fit.more_dataloaders = []
_base_.train_cfg.max_epochs = 10
_base_.optim_wrapper.optimizer.lr = 5e-4
_base_.param_scheduler[0].end = 5
_base_.param_scheduler[1].T_max = 10
