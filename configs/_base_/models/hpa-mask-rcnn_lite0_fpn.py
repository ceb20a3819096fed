# Mask R-CNN on EfficientNet-Lite0 with a 64-channel pyramid: learns in minutes on two cores.
# Sizes are in pixels of the image as it is read: the detector sees it at half size
# (input_stride 2), the localization branch sees the green channel alone at full size.
# Both start from the ImageNet weights that the extra `demo` installs.
model = dict(
    type="HpaMaskRCNN",
    data_preprocessor=dict(
        type="HpaDataPreprocessor",
        mean=[127.0],
        std=[128.0],
        pad_size_divisor=64,
        pad_mask=True,
        # in training, on the device: other gains and noise
        batch_augments=[
            dict(
                type="GainAndNoise",
                gain=(0.7, 1.4),
                gain_prob=0.7,
                noise=0.03 * 255,
                noise_prob=0.3,
            )
        ],
    ),
    backbone=dict(
        type="TimmFeatures",
        model_name="tf_efficientnet_lite0",
        channels=(0, 1, 2, 3),
        input_stride=2,
        weights="lite0",
    ),
    # normalized: the backbone's maps differ in scale by a factor of ten, and an unnormalized
    # pyramid spends the first hundred steps on that
    neck=dict(
        type="FPN",
        in_channels=[24, 40, 112, 320],
        out_channels=64,
        num_outs=4,
        norm_cfg=dict(type="GN", num_groups=8),
    ),
    rpn_head=dict(
        type="RPNHead",
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[4], ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64]
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type="L1Loss", loss_weight=1.0),
    ),
    roi_head=dict(
        type="CellRoIHead",
        bbox_roi_extractor=dict(
            type="FloatRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=64,
            featmap_strides=[8, 16, 32, 64],
            finest_scale=224,
        ),
        bbox_head=dict(
            type="Shared2FCBBoxHead",
            in_channels=64,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes=1,
            reg_class_agnostic=True,
            bbox_coder=dict(
                type="DeltaXYWHBBoxCoder",
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type="L1Loss", loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            type="FloatRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=2),
            out_channels=64,
            featmap_strides=[8, 16, 32, 64],
            finest_scale=224,
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            num_classes=1,
            class_agnostic=True,
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=2.0),
        ),
    ),
    localization=dict(
        type="LocalizationBranch",
        feature_dim=2 * (24 + 40 + 112 + 320),
        backbone=dict(
            type="TimmFeatures",
            model_name="tf_efficientnet_lite0",
            channels=(1,),
            input_stride=1,
            weights="lite0",
            frozen=True,
        ),
        # absent_weight: a label that the image lacks is a certain negative for each cell
        loss=dict(type="BagLoss", pooling="log_sum_exp", absent_weight=1.0),
        hidden=(0, 256),
        negative="derived",
        image_exponent=None,
        cells_exponent=None,
        exact_loss_weight=0.2,
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type="MaxIoUAssigner",
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type="RandomSampler",
                num=128,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=500, max_per_img=250, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
        ),
        rcnn=dict(
            assigner=dict(
                type="MaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type="RandomSampler",
                num=64,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=500, max_per_img=250, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
        ),
        rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
    ),
)
