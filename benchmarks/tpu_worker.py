"""tensorflow/tpu's side of a comparison: networks built by its own code, from its own configurations.

It runs in the environment of tensorflow/models, with the folders of a checkout of tensorflow/tpu on Python's path;
`benchmarks/reference.py` starts it. That code is of TensorFlow 1, whose layers tf-keras still has.
"""

import os
import sys
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from configs import factory as configs
from dataloader.anchor import Anchor
from hyperparameters import params_dict
from modeling.architecture import factory
from ops.spatial_transform_ops import multilevel_crop_and_resize

from benchmarks.serving import assign, serve


class Worker:
    """Builds networks.

    Args:
        folder: of the configurations.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def variables(self, kind: str, config: str, activation: str, size_px: int) -> dict[str, list[int]]:
        """Return the shape of each variable of a network.

        Args:
            kind: `classification`, `retinanet` or `mask_rcnn`, as the reference names them.
            config: name of the file of its configuration.
            activation: in place of that of the configuration, which is one of two that weights were released with.
            size_px: height and width of the images.
        """
        regions = {"boxes": np.zeros((1, 1, 4), np.float32), "classes": np.zeros((1, 1), np.int32)}
        with tf.Graph().as_default():
            self._outputs(kind, config, activation, np.zeros((1, size_px, size_px, 3), np.float32), regions)
            return {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}

    def write(
        self, kind: str, config: str, activation: str, seed: int, images: str, regions: str, prefix: str, path: str
    ) -> None:
        """Draw all variables of a network, write them as a checkpoint, and write what it makes of images to `path`.

        Args:
            kind: see `variables`.
            config: see `variables`.
            activation: see `variables`.
            seed: of the variables.
            images: path of (B, H, W, 3) normalised images.
            regions: path of (B, N, 4) `boxes`, each y, x, y, x in pixels, and (B, N) `classes` that masks are of.
            prefix: path of the checkpoint.
            path: of the answers, by name.
        """
        rng = np.random.default_rng(seed)
        with tf.Graph().as_default(), tf.Session() as session:
            outputs = self._outputs(kind, config, activation, np.load(images), np.load(regions))
            variables = tf.global_variables()
            assign(variables, [_drawn(one.op.name, one.shape.as_list(), rng) for one in variables], session)
            tf.train.Saver().save(session, prefix)
            np.savez(path, **session.run(outputs))

    def _outputs(self, kind: str, config: str, activation: str, images: Any, regions: Any) -> dict[str, Any]:  # noqa: ANN401
        """Build a network in the current graph as the reference's models do, and return its answers by name."""
        params = params_dict.override_params_dict(
            configs.config_generator(kind), os.path.join(self._folder, config), is_strict=False
        )
        params.override({"batch_norm_activation": {"activation": activation}}, is_strict=False)

        features = factory.backbone_generator(params)(tf.constant(images), is_training=False)
        features = factory.multilevel_features_generator(params)(features, is_training=False)
        outputs = {f"features/{level}": feature for level, feature in features.items()}
        match kind:
            case "classification":
                outputs["logits"] = factory.classification_head_generator(params)(features, is_training=False)
            case "retinanet":
                scores, codes = factory.retinanet_head_generator(params)(features, is_training=False)
                outputs |= _by_level("class", scores) | _by_level("box", codes)
            case "mask_rcnn":
                outputs |= _mask_rcnn_outputs(params, features, images.shape[1:3], regions)
        return outputs


def _mask_rcnn_outputs(params: Any, features: dict[int, Any], size_px: tuple[int, int], regions: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what the heads of Mask R-CNN say: of all anchors, and of the regions."""
    levels, anchor = params.architecture, params.anchor
    anchors = Anchor(
        levels.min_level, levels.max_level, anchor.num_scales, anchor.aspect_ratios, anchor.anchor_size, size_px
    )
    objectness, codes = factory.rpn_head_generator(params)(features, is_training=False)
    outputs = {"anchors": anchors.boxes} | _by_level("objectness", objectness) | _by_level("proposals", codes)

    boxes, classes = tf.constant(regions["boxes"]), tf.constant(regions["classes"])
    pooled = multilevel_crop_and_resize(features, boxes, output_size=7)
    outputs["class_logits"], outputs["box_codes"] = factory.fast_rcnn_head_generator(params)(pooled, is_training=False)

    pooled = multilevel_crop_and_resize(features, boxes, output_size=14)
    outputs["mask_logits"] = factory.mask_rcnn_head_generator(params)(pooled, classes, is_training=False)
    return outputs


def _by_level(name: str, found: dict[int, Any]) -> dict[str, Any]:
    return {f"{name}/{level}": value for level, value in found.items()}


def _drawn(name: str, shape: list[int], rng: np.random.Generator) -> Any:  # noqa: ANN401  # an array
    """Return values for a variable, with which features stay near 1.

    No gamma is 1 and no mean 0, which would hide a mix-up.
    """
    kind = name.rpartition("/")[2]
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    if kind in ("beta", "moving_mean", "bias"):
        return rng.normal(0, 0.2, shape)

    # The last axis but one of a depthwise kernel is that of its channels, each of which has a filter of its own.
    num_summed = 2 if kind == "depthwise_kernel" else len(shape) - 1
    return rng.normal(0, np.prod(shape[:num_summed]) ** -0.5, shape)


if __name__ == "__main__":
    serve(Worker(sys.argv[1]))
