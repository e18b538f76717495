"""What one pose-training worker does, without Ray: model, optimiser, moving average, epochs."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from poseact.datasets.augment import CanvasBatch, Jitter, Views, augment
from poseact.datasets.canvas import Canvases
from poseact.datasets.person import LabelledPerson
from poseact.models.pose import PoseArchitecture, PoseNet, normalize, pose_loss
from poseact.training.config import TrainPoseConfig

WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""

MAX_GRADIENT_NORM = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Which of the people a worker learns from: every ``world_size``-th, from ``rank`` on."""

    rank: int = 0
    world_size: int = 1

    def of(self, people: Sequence[LabelledPerson]) -> Sequence[LabelledPerson]:
        """Return this worker's people."""
        return people[self.rank :: self.world_size]


class PoseTraining:
    """Training state of one worker."""

    def __init__(
        self,
        config: TrainPoseConfig,
        num_people: int,
        *,
        device: torch.device,
        shard: Shard,
        wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    ) -> None:
        """Build it.

        Args:
            config: Settings.
            num_people: People in an epoch, over all workers.
            device: Where to train.
            shard: Place of this worker among all.
            wrap: Makes the model distributed.
        """
        torch.manual_seed(config.seed)
        net = PoseNet(PoseArchitecture(preset=config.preset))
        net = net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._device = device
        self._shard = shard
        self._input_px = net.architecture.input_px
        self._steps = num_people // config.batch_size
        self._net = net
        self._model = wrap(net)
        self._average = AveragedModel(
            net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
        )
        self._optimizer = torch.optim.AdamW(
            net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=config.learning_rate,
            total_steps=config.epochs * self._steps,
            pct_start=WARMUP_SHARE,
        )

    @property
    def averaged(self) -> PoseNet:
        """The moving average of the network: what is evaluated and shipped."""
        net = self._average.module
        assert isinstance(net, PoseNet)  # noqa: S101 - AveragedModel is not generic
        return net

    def run_epoch(self, canvases: Canvases, epoch: int) -> float:
        """Train for one epoch.

        Args:
            canvases: The people of this worker's shard.
            epoch: Number of the epoch; with the seed it fixes order and augmentation.

        Returns:
            Mean loss over the steps, nats per joint.
        """
        self._model.train()
        total = torch.zeros((), device=self._device)
        for views in self._batches(canvases, epoch):
            total += self._step(views)
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

    def _batches(self, canvases: Canvases, epoch: int) -> Iterator[Views]:
        seeds = np.random.SeedSequence((self._config.seed, epoch, self._shard.rank))
        order = np.random.default_rng(seeds).permutation(len(canvases))
        dice = torch.Generator()
        dice.manual_seed(int(seeds.generate_state(1)[0]))
        size = self._config.batch_size // self._shard.world_size
        for step in range(self._steps):
            rows = np.sort(order[step * size : (step + 1) * size])
            batch = CanvasBatch.take(canvases, rows, self._device)
            yield augment(batch, self._input_px, jitter=Jitter(), generator=dice)

    def _step(self, views: Views) -> Tensor:
        crops = normalize(views.rgb_BCHW).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            logits = self._model(crops)
        loss = pose_loss(logits, views.joints_BJ3)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._average.update_parameters(self._net)
        return loss.detach()
