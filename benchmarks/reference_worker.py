"""The reference's side of a comparison: tensorflow/models' SpineNet.

It runs in an environment of its own, as TensorFlow and PyTorch ask for different versions of the same packages;
`benchmarks/reference.py` starts it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.modeling.optimization import ema_optimizer
from official.vision.modeling import retinanet_model
from official.vision.modeling.backbones import spinenet, spinenet_mobile
from official.vision.modeling.heads import dense_prediction_heads
from official.vision.modeling.layers import detection_generator

from benchmarks.serving import assign, serve

NUM_WARM_UP_STEPS = 4
_DRAWN = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "BatchNormalization", "SyncBatchNormalization")
_ACTIVATIONS = {"relu": "relu", "silu": "swish"}


class Worker:
    """Holds the models that were built, by name."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._layers: dict[str, list[Any]] = {}
        self._steps: dict[str, Callable[[], Any]] = {}

    def build(self, name: str, spec: dict[str, Any], scale: dict[str, Any], size_px: int, precision: str) -> None:
        """Build a backbone with fresh weights.

        Args:
            name: name of the model in later requests.
            spec: the `spec` of a spec file, with two parents for each block; the stem is the reference's own.
            scale: the `scale` of a spec file.
            size_px: height and width of the images.
            precision: `float32`, `float64` or `mixed_bfloat16`.
        """
        tf_keras.mixed_precision.set_global_policy(precision)
        is_mobile = spec["stem"][0]["kind"] == "mbconv"
        module = spinenet_mobile if is_mobile else spinenet
        options = _options(module.BlockSpec, spec, scale, size_px)

        created: list[Any] = []
        with _recorded(created):
            if is_mobile:
                model = spinenet_mobile.SpineNetMobile(**options)
            else:
                model = spinenet.SpineNet(resample_alpha=scale["resample_alpha"], **options)

        # Only layers that ended up in the model have a counterpart.
        used = {id(layer) for layer in model._flatten_layers()}
        kinds = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D, tf_keras.layers.BatchNormalization)
        self._layers[name] = [layer for layer in created if id(layer) in used and isinstance(layer, kinds)]
        self._models[name] = model

    def build_detector(self, name: str, spec: dict[str, Any], scale: dict[str, Any], num_classes: int) -> None:
        """Build a RetinaNet with fresh weights; see `build`."""
        size_px = scale["image_size_px"]
        self.build("backbone", spec, scale, size_px, "float32")
        backbone = self._models.pop("backbone")
        levels = sorted(map(int, backbone.output_specs))
        head = dense_prediction_heads.RetinaNetHead(
            min_level=levels[0],
            max_level=levels[-1],
            num_classes=num_classes,
            num_anchors_per_location=9,
            num_convs=scale["num_head_convs"],
            num_filters=scale["head_width"],
            activation=_ACTIVATIONS[scale["activation"]],
            use_separable_conv=scale["separable_head"],
        )
        model = retinanet_model.RetinaNetModel(
            backbone,
            None,
            head,
            detection_generator.MultilevelDetectionGenerator(use_cpu_nms=True),
            min_level=levels[0],
            max_level=levels[-1],
            num_scales=3,
            aspect_ratios=[0.5, 1.0, 2.0],
            anchor_size=scale["anchor_scale"],
        )

        # Layers get their weights when they are called first.
        model(tf.zeros((1, size_px, size_px, 3)), training=True)
        self._models[name] = model
        self._layers[name] = [layer for layer in model._flatten_layers() if type(layer).__name__ in _DRAWN]

    def sharpen(self, name: str, factor: float, class_bias: float) -> None:
        """Have a detector with random weights tell anchors apart by class, and find few objects."""
        classifier = self._models[name].head._classifier
        kernel = getattr(classifier, "pointwise_kernel", None)
        kernel = classifier.kernel if kernel is None else kernel
        kernel.assign(kernel * factor)
        classifier.bias.assign(tf.fill(classifier.bias.shape, class_bias))

    def write_checkpoint(self, name: str, prefix: str, averages: bool) -> None:
        """Write a detector as a training does; with `averages` these are its weights, beside others that are halves."""
        model = self._models[name]
        if not averages:
            tf.train.Checkpoint(**model.checkpoint_items).save(prefix)
            return

        sgd = tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9)
        optimizer = ema_optimizer.ExponentialMovingAverage(sgd)
        optimizer.shadow_copy(model)
        for variable in model.trainable_variables:
            optimizer.get_slot(variable, "average").assign(variable)
            variable.assign(variable * 0.5)
        step = tf.Variable(7, dtype=tf.int64)
        tf.train.Checkpoint(model=model, optimizer=optimizer, global_step=step).save(prefix)
        for variable in model.trainable_variables:
            variable.assign(variable * 2)

    def predict(self, name: str, images: str, path: str) -> None:
        """Compute a detector's answer to (B, H, W, 3) images, by `class/LEVEL` and `box/LEVEL`, and its detections."""
        model, batch = self._models[name], np.load(images)
        sizes = np.full((len(batch), 2), batch.shape[1], np.float32)
        found = model(batch, image_shape=sizes, training=False)

        arrays = {f"class/{level}": value.numpy() for level, value in found["cls_outputs"].items()}
        arrays |= {f"box/{level}": value.numpy() for level, value in found["box_outputs"].items()}
        for key in ("detection_boxes", "detection_classes", "detection_scores", "num_detections"):
            arrays[key] = found[key].numpy()
        np.savez(path, **arrays)

    def write_variables(self, arrays: str, prefix: str) -> None:
        """Write named arrays as TensorFlow 1 writes variables of these names."""
        v1 = tf.compat.v1
        with v1.Graph().as_default(), v1.Session() as session:
            named = np.load(arrays)
            variables = [v1.get_variable(key, named[key].shape, named[key].dtype) for key in named.files]
            assign(variables, [named[key] for key in named.files], session)
            v1.train.Saver().save(session, prefix, write_meta_graph=False)

    def draw(self, name: str, seed: int, path: str) -> None:
        """Draw all weights and statistics and write them to `path`, in the order in which layers were created."""
        rng = np.random.default_rng(seed)
        arrays: dict[str, Any] = {}
        for i, layer in enumerate(self._layers[name]):
            shapes = [weight.shape for weight in layer.weights]
            # Features stay near 1 through many layers. No gamma is 1 and no mean 0, which would hide a mix-up.
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                gamma, variance = rng.uniform(0.5, 1.5, (2, *shapes[0]))
                beta, mean = rng.normal(0, 0.2, (2, *shapes[0]))
                values = [gamma, beta, mean, variance]
            else:
                is_depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D | tf_keras.layers.SeparableConv2D)
                axes = [2 if is_depthwise and j == 0 else 3 for j in range(len(shapes))]
                stds = [
                    np.prod(shape[:num_axes]) ** -0.5 if len(shape) == 4 else 0.2
                    for shape, num_axes in zip(shapes, axes, strict=True)
                ]
                values = [rng.normal(0, std, shape) for std, shape in zip(stds, shapes, strict=True)]
            layer.set_weights(values)

            # What the layer holds now, rounded to its precision. The names sort in the order of the layers.
            kind = type(layer).__name__
            arrays |= {f"{i:04d}.{kind}.{j}": value for j, value in enumerate(layer.get_weights())}
        np.savez(path, **arrays)

    def endpoints(self, name: str, images: str, path: str, training: bool) -> None:
        """Compute the endpoints of (B, H, W, 3) images and write them to `path` by level."""
        found = self._models[name](np.load(images), training=training)
        np.savez(path, **{level: value.numpy() for level, value in found.items()})

    def prepare_steps(self, name: str, images: str, kind: str) -> None:
        """Compile training steps or forward passes on these images, and run them until they are warm."""
        model, batch = self._models[name], tf.constant(np.load(images))
        optimizer = tf_keras.optimizers.legacy.SGD(0.0001, momentum=0.9)

        @tf.function
        def train() -> Any:  # noqa: ANN401  # a tensor
            with tf.GradientTape() as tape:
                found = model(batch, training=True).values()
                loss = tf.add_n([tf.reduce_mean(tf.square(tf.cast(x, tf.float32))) for x in found])
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return loss

        @tf.function
        def infer() -> Any:  # noqa: ANN401  # a tensor
            return tf.add_n([tf.reduce_sum(tf.cast(x, tf.float32)) for x in model(batch, training=False).values()])

        # `numpy` waits for the result.
        self._steps[name] = train if kind == "train" else infer
        for _ in range(NUM_WARM_UP_STEPS):
            self._steps[name]().numpy()

    def time_steps(self, name: str, num_steps: int) -> list[float]:
        """Return the seconds that each of `num_steps` prepared steps took, after one that does not count."""
        step = self._steps[name]
        step().numpy()

        seconds = []
        for _ in range(num_steps):
            started = time.perf_counter()
            step().numpy()
            seconds.append(time.perf_counter() - started)
        return seconds

    def forget(self, name: str) -> None:
        """Free a model."""
        for held in (self._models, self._layers, self._steps):
            held.pop(name, None)


def _options(
    block_spec: Callable[..., Any], spec: dict[str, Any], scale: dict[str, Any], size_px: int
) -> dict[str, Any]:
    """Return the arguments that both of the reference's backbones take."""
    levels = [block["level"] for block in spec["blocks"] if block["is_output"]]
    blocks = [
        block_spec(block["level"], block["kind"], tuple(block["parents"]), block["is_output"])
        for block in spec["blocks"]
    ]
    return {
        "input_specs": tf_keras.layers.InputSpec(shape=[None, size_px, size_px, 3]),
        "min_level": min(levels),
        "max_level": max(levels),
        "block_specs": blocks,
        "endpoints_num_filters": scale["endpoint_width"],
        "block_repeats": scale["block_repeats"],
        "filter_size_scale": scale["width_multiplier"],
        "activation": _ACTIVATIONS[scale["activation"]],
        "norm_momentum": 0.99,
        "norm_epsilon": 1e-3,
    }


@contextmanager
def _recorded(created: list[Any]) -> Iterator[None]:
    """Note every layer that is made, in order: weights have no other order that both sides know."""
    plain = tf_keras.layers.Layer.__init__

    def note(layer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # a layer's own arguments
        created.append(layer)
        plain(layer, *args, **kwargs)

    tf_keras.layers.Layer.__init__ = note
    try:
        yield
    finally:
        tf_keras.layers.Layer.__init__ = plain


if __name__ == "__main__":
    serve(Worker())
