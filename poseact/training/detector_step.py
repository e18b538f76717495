"""What one detector-training worker does, without Ray."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseact.datasets.scene_views import SceneCanvases, SceneViews, look
from poseact.errors import ConfigError
from poseact.models.bundle import read_bundle
from poseact.models.detector import DetectorNet, DetectorShape, detection_loss
from poseact.models.pose import normalize
from poseact.training.detector_config import TrainDetectorConfig
from poseact.training.fit import Fit, Shard, mixed_precision, shuffled_batches


class DetectorTraining:
    """Training state of one worker."""

    def __init__(
        self,
        config: TrainDetectorConfig,
        num_scenes: int,
        *,
        device: torch.device,
        shard: Shard,
        wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    ) -> None:
        """Build it.

        Args:
            config: Settings.
            num_scenes: Pictures in an epoch, over all workers.
            device: Where to train.
            shard: Place of this worker among all.
            wrap: Makes the model distributed.

        Raises:
            ConfigError: If the weights to start from do not fit.
            BundleError: If the bundle to start from cannot be used.
        """
        net = new_detector(config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._device = device
        self._shard = shard
        self._steps = num_scenes // config.batch_size
        self._fit: Fit[DetectorNet] = Fit(
            net, config, num_steps=config.epochs * self._steps, wrap=wrap
        )

    @property
    def averaged(self) -> DetectorNet:
        """The moving average of the network: what is evaluated and shipped."""
        return self._fit.averaged

    def run_epoch(self, canvases: SceneCanvases, epoch: int) -> float:
        """Train for one epoch.

        Args:
            canvases: The pictures of this worker's shard.
            epoch: Number of the epoch; with the seed it fixes order and augmentation.

        Returns:
            Mean loss over the steps.
        """
        self._fit.model.train()
        total = torch.zeros((), device=self._device)
        for views in self._batches(canvases, epoch):
            loss = self._loss(views)
            self._fit.step(loss)
            total += loss.detach()
        return float(total) / self._steps

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return self._fit.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""
        self._fit.load_state_dict(state)

    def _batches(self, canvases: SceneCanvases, epoch: int) -> Iterator[SceneViews]:
        seeds = np.random.SeedSequence((self._config.seed, epoch, self._shard.rank))
        dice = torch.Generator()
        dice.manual_seed(int(seeds.generate_state(1)[0]))
        for rows in shuffled_batches(
            len(canvases),
            1,
            num_steps=self._steps,
            size=self._config.batch_size // self._shard.world_size,
            seeds=seeds,
        ):
            yield look(canvases, rows, device=self._device, generator=dice)

    def _loss(self, views: SceneViews) -> Tensor:
        pictures = normalize(views.rgb_BCHW).contiguous(memory_format=torch.channels_last)
        with mixed_precision(self._device):
            outputs = self._fit.model(pictures)
        return detection_loss(outputs, views.boxes_BP4, views.ignored_BI4)


def new_detector(config: TrainDetectorConfig) -> DetectorNet:
    """Build the network that a run starts with.

    Raises:
        ConfigError: If the weights to start from do not fit.
        BundleError: If they cannot be used.
    """
    torch.manual_seed(config.seed)
    net = DetectorNet(DetectorShape())
    if config.base_weights == "random":
        return net
    bundle = read_bundle(config.base_weights, "detector", "pose")
    own = net.state_dict()
    fitting = {
        name: value
        for name, value in bundle.tensors.items()
        if (name.startswith("base.") or bundle.manifest["kind"] == "detector")
        and name in own
        and own[name].shape == value.shape
    }
    if not fitting:
        raise ConfigError(
            f"base_weights: no layer of {config.base_weights} fits. Give a pose bundle of the "
            "preset `fast`, or a detector bundle."
        )
    net.load_state_dict({**own, **fitting})
    return net
