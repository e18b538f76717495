"""What one pose-training worker does, without Ray: model, optimiser, moving average, epochs."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from poseact.datasets.augment import CanvasBatch, Jitter, Views, augment
from poseact.datasets.canvas import Canvases
from poseact.models.bundle import read_bundle
from poseact.models.pose import PoseNet, normalize
from poseact.models.presets import PRESETS, build_pose, pose_net, start_from
from poseact.training.config import TrainPoseConfig

WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""

MAX_GRADIENT_NORM = 5.0

HELD_SHARE = 1 / 3
"""Share of the epochs in which a staged base stays as it is."""

STAGED_RATE = 0.1
"""Learning rate of a staged base afterwards, over that of the head."""

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Which part of a list a worker has: every ``world_size``-th item, from ``rank`` on."""

    rank: int = 0
    world_size: int = 1

    def of(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return this worker's items."""
        return items[self.rank :: self.world_size]


class PoseTraining:
    """Training state of one worker."""

    def __init__(
        self,
        config: TrainPoseConfig,
        num_views: int,
        *,
        device: torch.device,
        shard: Shard,
        wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    ) -> None:
        """Build it.

        Args:
            config: Settings.
            num_views: Crops in an epoch, over all workers.
            device: Where to train.
            shard: Place of this worker among all.
            wrap: Makes the model distributed.

        Raises:
            ConfigError: If the weights to start from do not fit.
            BundleError: If a bundle to start or learn from cannot be used.
        """
        net = new_net(config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net.base.requires_grad_(config.base != "frozen")
        self._config = config
        self._device = device
        self._shard = shard
        self._steps = num_views // config.batch_size
        self._net: PoseNet = net
        self._model = wrap(net)
        self._teacher = None if config.teacher is None else _read_teacher(config, device)
        self._average = _average_of(net, config)
        self._optimizer, self._schedule = self._plan_steps()

    @property
    def averaged(self) -> PoseNet:
        """The moving average of the network: what is evaluated and shipped."""
        return _module_of(self._average)

    def run_epoch(self, canvases: Canvases, repeats: npt.NDArray[np.int64], epoch: int) -> float:
        """Train for one epoch.

        Args:
            canvases: The people of this worker's shard.
            repeats: Times that each of them is seen.
            epoch: Number of the epoch; with the seed it fixes order and augmentation.

        Returns:
            Mean loss over the steps, nats per joint.
        """
        is_base_held = self._is_base_held(epoch)
        self._model.train()
        self._net.base.train(not is_base_held)  # statistics of its normalisation
        total = torch.zeros((), device=self._device)
        for views in self._batches(canvases, repeats, epoch):
            total += self._step(views, is_base_held=is_base_held)
        return float(total) / self._steps

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "net": self._net.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""
        self._net.load_state_dict(state["net"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def _plan_steps(
        self,
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        base = set(self._net.base.parameters())
        head = [parameter for parameter in self._net.parameters() if parameter not in base]
        rate = self._config.learning_rate
        base_rate = rate * (STAGED_RATE if self._config.base == "staged" else 1)
        optimizer = torch.optim.AdamW(
            [{"params": list(self._net.base.parameters())}, {"params": head}],
            weight_decay=self._config.weight_decay,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[base_rate, rate],
            total_steps=self._config.epochs * self._steps,
            pct_start=WARMUP_SHARE,
        )
        return optimizer, schedule

    def _is_base_held(self, epoch: int) -> bool:
        if self._config.base == "staged":
            return epoch < HELD_SHARE * self._config.epochs
        return self._config.base == "frozen"

    def _batches(
        self, canvases: Canvases, repeats: npt.NDArray[np.int64], epoch: int
    ) -> Iterator[Views]:
        seeds = np.random.SeedSequence((self._config.seed, epoch, self._shard.rank))
        order = np.random.default_rng(seeds).permutation(np.repeat(range(len(canvases)), repeats))
        dice = torch.Generator()
        dice.manual_seed(int(seeds.generate_state(1)[0]))
        size = self._config.batch_size // self._shard.world_size
        order = np.resize(order, self._steps * size)  # a shard may hold a little less than its part
        for rows in order.reshape(self._steps, size):
            batch = CanvasBatch.take(canvases, np.sort(rows), self._device)
            yield augment(batch, self._net.shape.input_px, jitter=Jitter(), generator=dice)

    def _step(self, views: Views, *, is_base_held: bool) -> Tensor:
        crops = normalize(views.rgb_BCHW).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            outputs = self._model(crops)
        loss = self._net.loss(outputs, views.joints_BJ3)
        if self._teacher is not None:
            loss = loss + self._net.loss(outputs, _taught(self._teacher, crops))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if is_base_held:
            self._net.base.zero_grad(set_to_none=True)  # the optimiser passes it over
        nn.utils.clip_grad_norm_(self._net.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._average.update_parameters(self._net)
        return loss.detach()


def averaged_net(config: TrainPoseConfig, state: Mapping[str, Any]) -> PoseNet:
    """Return the moving average that a run ended with, ready for inference."""
    average = _average_of(build_pose(PRESETS[config.preset]), config)
    average.load_state_dict(state["average"])
    return _module_of(average).eval()


def new_net(config: TrainPoseConfig) -> PoseNet:
    """Build the network that a run starts with.

    Raises:
        ConfigError: If the weights to start from do not fit.
        BundleError: If they are a bundle that cannot be used.
    """
    torch.manual_seed(config.seed)
    net = build_pose(PRESETS[config.preset])
    if config.base_weights != "random":
        start_from(net, config.base_weights)
    return net


def _average_of(net: PoseNet, config: TrainPoseConfig) -> AveragedModel:
    decay = get_ema_multi_avg_fn(config.ema_decay)
    return AveragedModel(net, multi_avg_fn=decay, use_buffers=True)


def _module_of(average: AveragedModel) -> PoseNet:
    net = average.module
    assert isinstance(net, PoseNet)  # noqa: S101 - AveragedModel is not generic
    return net


def _read_teacher(config: TrainPoseConfig, device: torch.device) -> PoseNet:
    net = pose_net(read_bundle(config.teacher, "pose"))
    moved: PoseNet = net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


@torch.no_grad()
def _taught(teacher: PoseNet, crops_BCHW: Tensor) -> Tensor:
    """Return the joints that the teacher sees, weighted by its confidence."""
    size_px = crops_BCHW.shape[3]
    resized = crops_BCHW
    if teacher.shape.input_px != size_px:
        resized = F.interpolate(crops_BCHW, teacher.shape.input_px, mode="bilinear")
    with torch.autocast(crops_BCHW.device.type, torch.bfloat16):
        outputs = teacher(resized)
    scale = size_px / teacher.shape.input_px
    return teacher.decode(outputs) * torch.tensor([scale, scale, 1.0], device=crops_BCHW.device)
