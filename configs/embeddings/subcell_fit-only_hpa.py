# What: our heads and bag losses on SubCell's embeddings; nothing but the heads is fitted. It
# says which cell shows what, which SubCell's own classifiers were not taught. Needs $HPA_DATA
# with a store train_crops of these crops and $SUBCELL_DIR: docs/how-to/subcell.md.
_base_ = ["../_base_/models/crop-classifier_subcell.py", "../_base_/crops.py"]
crop = _base_.model.data_preprocessor.crop
_base_.train_dataloader.dataset.crop = crop
_base_.train_dataloader.dataset.substitute_prob = 0.0
_base_.train_cfg.fit.dataloader.dataset.crop = crop
_base_.train_cfg.fit.more_dataloaders = []
_base_.train_cfg.max_epochs = 0
param_scheduler = None  # there are no steps to schedule
custom_hooks = []  # nor weights to average
