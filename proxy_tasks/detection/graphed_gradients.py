"""Loss and gradients of a batch as one CUDA graph: thousands of launches of small kernels become one.

At the batch sizes of a proxy training a processor takes longer to launch the kernels of a step than a GPU to run them.
Every step has the same kernels on the same shapes, so they are recorded once and then replayed as a whole.
"""

import warnings
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.losses import MatchedBatch, detection_loss
from proxy_tasks.networks.gpu_operators import fused_operators

_NUM_EAGER = 3
"""Steps before the recording: in the first ones libraries choose algorithms and take memory."""
_BOXES_AN_IMAGE = 200
"""Room for boxes in the graph, for each image on average; a step with more of them is not replayed."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The way in which a step on a GPU is launched.

    Attributes:
        replays: as one recorded graph; else kernel by kernel.
        fuses: by fused operators, see `fused_operators`. Without a graph these take longer to launch than they spare.
    """

    replays: bool = True
    fuses: bool = True


REPLAYED = Launch()


class GraphedGradients:
    """The loss of a batch with all gradients, on a GPU.

    In bfloat16 all kernels of convolutions are cast in one operator, and the gradients come back together.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`; what it draws, it draws from torch's own generator.
        parameters: those of each group of the optimizer, whose gradients are views of one tensor; see `flatten_groups`.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to, on its device.
        bf16: compute convolutions in bfloat16.
        launch: the way in which kernels are launched.
    """

    def __init__(
        self,
        network: nn.Module,
        parameters: list[nn.Parameter],
        anchors_xyxy: Tensor,
        *,
        bf16: bool,
        launch: Launch = REPLAYED,
    ) -> None:
        self._network = network
        self._anchors_xyxy = anchors_xyxy
        self._bf16 = bf16
        self._launch = launch
        self._num_done = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: MatchedBatch | None = None
        self._loss: Tensor | None = None
        self._own = dict(network.named_parameters())
        self._flats = [_Flat(flat, self._own) for flat in parameters]
        self._kernels = _Casts(self._flats[0], _names_of_kernels(network)) if bf16 else None

    def take(self, part: MatchedBatch) -> Tensor:
        """Set all gradients to those of a whole batch, of as many images each time, and return its loss, a scalar."""
        batch, matched, num_positive = part
        # A graph is recorded and replayed on the current device, wherever the tensors are.
        with torch.cuda.device_of(batch.images):  # type: ignore[no-untyped-call]  # torch leaves it so
            if self._launch.replays and self._graph is None and self._num_done >= _NUM_EAGER:
                self._record(batch, matched, num_positive)
            self._num_done += 1

            if self._graph is None or not self._fits(batch):
                return self._computed(batch, matched, num_positive)
            self._fill(batch, matched, num_positive)
            self._graph.replay()
            if self._loss is None:
                raise RuntimeError("a graph without a loss")
            return self._loss.clone()

    def free(self) -> None:
        """Give the memory of the graph back; the next step records it again."""
        self._graph = self._inputs = self._loss = None

    def _computed(self, batch: Batch, matched: Tensor, num_positive: Tensor) -> Tensor:
        given: dict[str, Tensor] = {**self._own}
        if self._kernels is not None:
            given |= self._kernels.cast()
        with fused_operators() if self._launch.fuses else nullcontext():
            with torch.autocast("cuda", torch.bfloat16, enabled=self._bf16):
                raw = functional_call(self._network, given, (batch.images,))
            loss = detection_loss(raw, batch, self._anchors_xyxy, matched, num_positive)

        gradients = torch.autograd.grad(loss, list(given.values()), materialize_grads=True)
        by_name = dict(zip(given, gradients, strict=True))
        for flat in self._flats:
            flat.take_gradients(by_name)
        return loss.detach()

    def _record(self, batch: Batch, matched: Tensor, num_positive: Tensor) -> None:
        """Record a graph of the step, which computes nothing yet."""
        num_boxes = _BOXES_AN_IMAGE * batch.num_images
        room = Batch(
            # As the network reads them: to copy them there is to cast them.
            images=torch.zeros_like(batch.images, dtype=torch.bfloat16 if self._bf16 else None),
            sizes_px=batch.sizes_px.clone(),
            boxes_xyxy=batch.boxes_xyxy.new_zeros((num_boxes, 4)),
            labels=batch.labels.new_full((num_boxes,), -1),
            image=batch.image.new_zeros(num_boxes),
        )
        self._inputs = MatchedBatch(room, torch.full_like(matched, -1), torch.zeros_like(num_positive))

        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it so
        try:
            # Other threads go on: one of them reads the next images.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._loss = self._computed(*self._inputs)
        except RuntimeError as error:
            if is_fault_of_gpu(error):
                raise
            # A step that does not fit into memory a second time may fit once.
            self._launch = Launch(replays=False, fuses=False)
            self.free()
            warnings.warn(
                f"this training step cannot be recorded as a CUDA graph, and is launched kernel by kernel: "
                f"{error.__context__ or error}",
                stacklevel=2,
            )
            return
        self._graph = graph

    def _fits(self, batch: Batch) -> bool:
        if self._inputs is None:
            return False
        room, *_ = self._inputs
        return batch.images.shape == room.images.shape and len(batch.labels) <= len(room.labels)

    def _fill(self, batch: Batch, matched: Tensor, num_positive: Tensor) -> None:
        """Put a batch where the graph reads it."""
        if self._inputs is None:
            raise RuntimeError("a graph without inputs")
        room, room_for_matched, room_for_number = self._inputs
        num_boxes = len(batch.labels)
        room.images.copy_(batch.images)
        room.boxes_xyxy[:num_boxes].copy_(batch.boxes_xyxy)
        room.labels[:num_boxes].copy_(batch.labels)
        room_for_matched.copy_(matched)
        room_for_number.copy_(num_positive)


def is_fault_of_gpu(error: BaseException) -> bool:
    """Return whether a recording failed by the GPU itself, where no other launch would go better.

    What a recording does not allow is an error of CUDA, too; but it speaks of capturing. Where one has failed, its end
    raises another, whose context it is.
    """
    errors = (error, error.__context__)
    return any(isinstance(one, torch.AcceleratorError) and "captur" not in str(one) for one in errors)


class _Flat:
    """The parameters of a group of the optimizer, as they lie in one tensor."""

    def __init__(self, flat: nn.Parameter, parameters: Mapping[str, nn.Parameter]) -> None:
        self.flat = flat
        # Where each begins, in the order in which they lie.
        begins = {name: (p.data_ptr() - flat.data_ptr()) // flat.element_size() for name, p in parameters.items()}
        own = [name for name, begin in begins.items() if 0 <= begin < len(flat)]
        self.begins = {name: begins[name] for name in sorted(own, key=begins.__getitem__)}
        self.parameters = parameters

    def take_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Put the gradient of each parameter into that of the whole, in few operators."""
        pieces, filled = [], 0
        for name, begin in self.begins.items():
            gradient = _as_it_lies(gradients[name], self.parameters[name])
            if begin > filled:
                pieces.append(gradient.new_zeros(begin - filled))
            pieces.append(gradient)
            filled = begin + len(gradient)

        if self.flat.grad is None:
            raise RuntimeError("a flat parameter without a gradient")
        self.flat.grad[:filled].copy_(torch.cat(pieces))


class _Casts:
    """Some parameters of a group in bfloat16: the group is cast at once, and each is a view of it."""

    def __init__(self, flat: _Flat, names: Collection[str]) -> None:
        self._flat = flat.flat
        self._cast = torch.empty_like(self._flat, dtype=torch.bfloat16)
        self._views = {
            name: self._cast.as_strided(flat.parameters[name].shape, flat.parameters[name].stride(), begin)
            for name, begin in flat.begins.items()
            if name in names
        }

    def cast(self) -> dict[str, Tensor]:
        """Return the parameters as they are now, by name; what is computed of them has gradients."""
        with torch.no_grad():
            self._cast.copy_(self._flat)
        return {name: view.detach().requires_grad_() for name, view in self._views.items()}


def _names_of_kernels(network: nn.Module) -> set[str]:
    """Return the names of the parameters that autocast would cast: those that convolutions and products read."""
    readers = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
    return {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, readers)}


def _as_it_lies(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Return a gradient as a vector, its values in the order in which those of its parameter lie in memory."""
    order = sorted(range(parameter.ndim), key=parameter.stride, reverse=True)
    return gradient.permute(order).reshape(-1)
