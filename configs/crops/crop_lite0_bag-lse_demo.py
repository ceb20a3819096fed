# What: the rival of the demo's Mask R-CNN, on its data, in minutes on two cores: `make crops`.
_base_ = ["./crop_lite0_bag-lse_cpu.py"]
_base_.train_dataloader.num_workers = 1
_base_.train_cfg.max_epochs = 3
_base_.param_scheduler[1].T_max = 3
