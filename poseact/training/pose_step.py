"""What one pose-training worker does, without Ray."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseact.datasets.augment import CanvasBatch, Jitter, Views, augment
from poseact.datasets.canvas import Canvases
from poseact.models.bundle import read_bundle
from poseact.models.pose import PoseNet, normalize
from poseact.models.presets import PRESETS, build_pose, pose_net, start_from
from poseact.training.config import TrainPoseConfig
from poseact.training.fit import Fit, Shard, mixed_precision, shuffled_batches

HELD_SHARE = 1 / 3
"""Share of the epochs in which a staged base stays as it is."""

STAGED_RATE = 0.1
"""Learning rate of a staged base afterwards, over that of the head."""


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
        self._teacher = None if config.teacher is None else _read_teacher(config, device)
        self._fit: Fit[PoseNet] = Fit(
            net,
            config,
            num_steps=config.epochs * self._steps,
            base_rate=STAGED_RATE if config.base == "staged" else 1.0,
            wrap=wrap,
        )

    @property
    def averaged(self) -> PoseNet:
        """The moving average of the network: what is evaluated and shipped."""
        return self._fit.averaged

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
        self._fit.model.train()
        self._net.base.train(not is_base_held)  # statistics of its normalisation
        total = torch.zeros((), device=self._device)
        for views in self._batches(canvases, repeats, epoch):
            loss = self._loss(views)
            self._fit.step(loss, is_base_held=is_base_held)
            total += loss.detach()
        return float(total) / self._steps

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return self._fit.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""
        self._fit.load_state_dict(state)

    def _is_base_held(self, epoch: int) -> bool:
        if self._config.base == "staged":
            return epoch < HELD_SHARE * self._config.epochs
        return self._config.base == "frozen"

    def _batches(
        self, canvases: Canvases, repeats: npt.NDArray[np.int64], epoch: int
    ) -> Iterator[Views]:
        seeds = np.random.SeedSequence((self._config.seed, epoch, self._shard.rank))
        dice = torch.Generator()
        dice.manual_seed(int(seeds.generate_state(1)[0]))
        for rows in shuffled_batches(
            len(canvases),
            repeats,
            num_steps=self._steps,
            size=self._config.batch_size // self._shard.world_size,
            seeds=seeds,
        ):
            batch = CanvasBatch.take(canvases, rows, self._device)
            yield augment(batch, self._net.shape.input_px, jitter=Jitter(), generator=dice)

    def _loss(self, views: Views) -> Tensor:
        crops = normalize(views.rgb_BCHW).contiguous(memory_format=torch.channels_last)
        with mixed_precision(self._device):
            outputs = self._fit.model(crops)
        loss = self._net.loss(outputs, views.joints_BJ3)
        if self._teacher is not None:
            loss = loss + self._net.loss(outputs, _taught(self._teacher, crops))
        return loss


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
    with mixed_precision(crops_BCHW.device):
        outputs = teacher(resized)
    scale = size_px / teacher.shape.input_px
    return teacher.decode(outputs) * torch.tensor([scale, scale, 1.0], device=crops_BCHW.device)
