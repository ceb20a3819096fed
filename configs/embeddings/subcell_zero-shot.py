# What: SubCell's released classifiers, their 31 classes taken to our 19; nothing is trained.
# python tools/infer.py configs/embeddings/subcell_zero-shot.py released IMAGES --instances masks
_base_ = ["./subcell_fit-only_hpa.py"]
_folder = _base_.weights_dir + "/all_channels_MAE_MLP_classifier_seed_"
_base_.model.localization = dict(
    type="SubCellBranch", weights=[_folder + "0.pth", _folder + "1.pth"]
)
