"""A network while it is fitted, without Ray: optimiser, schedule, moving average."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from poseact.training.fit_config import FitConfig

WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""

MAX_GRADIENT_NORM = 5.0

_Item = TypeVar("_Item")
NetT = TypeVar("NetT", bound=nn.Module)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Which part of a list a worker has: every ``world_size``-th item, from ``rank`` on."""

    rank: int = 0
    world_size: int = 1

    def of(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return this worker's items."""
        return items[self.rank :: self.world_size]


def mixed_precision(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 while this is entered, on devices that do so quickly.

    A CPU without AVX-512 does not: its convolutions took 40 times as long as in float32.
    """
    on_cpu = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - no public name
    is_enabled = device.type != "cpu" or on_cpu
    return torch.autocast(device.type, torch.bfloat16, enabled=is_enabled)


class Fit(Generic[NetT]):
    """A network with all that changes it."""

    def __init__(
        self,
        net: NetT,
        config: FitConfig,
        *,
        num_steps: int,
        base_rate: float = 1.0,
        wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    ) -> None:
        """Build it.

        Args:
            net: The network, with a part ``base``.
            config: Settings.
            num_steps: Steps of the whole run.
            base_rate: Learning rate of the base over that of the rest.
            wrap: Makes the network distributed.
        """
        self.net = net
        self.model = wrap(net)
        self._average = average_of(net, config)
        base = list(net.get_submodule("base").parameters())
        rest = [p for name, p in net.named_parameters() if not name.startswith("base.")]
        self._optimizer = torch.optim.AdamW(
            [{"params": base}, {"params": rest}], weight_decay=config.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=[config.learning_rate * base_rate, config.learning_rate],
            total_steps=num_steps,
            pct_start=WARMUP_SHARE,
        )

    @property
    def averaged(self) -> NetT:
        """The moving average of the network: what is evaluated and shipped."""
        return module_of(self._average, type(self.net))

    def step(self, loss: Tensor, *, is_base_held: bool = False) -> None:
        """Follow the gradient of a loss; a base that is held stays as it is."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if is_base_held:
            # the optimiser passes over what has no gradient
            self.net.get_submodule("base").zero_grad(set_to_none=True)
        nn.utils.clip_grad_norm_(self.net.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._average.update_parameters(self.net)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "net": self.net.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""
        self.net.load_state_dict(state["net"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])


def averaged_net(net: NetT, config: FitConfig, state: Mapping[str, Any]) -> NetT:
    """Return the moving average that a run ended with, ready for inference.

    Args:
        net: A network of the same architecture.
        config: Settings.
        state: What ``Fit.state_dict`` returned.
    """
    average = average_of(net, config)
    average.load_state_dict(state["average"])
    return module_of(average, type(net)).eval()


def average_of(net: nn.Module, config: FitConfig) -> AveragedModel:
    """Return a moving average that starts as the network is."""
    decay = get_ema_multi_avg_fn(config.ema_decay)
    return AveragedModel(net, multi_avg_fn=decay, use_buffers=True)


def module_of(average: AveragedModel, kind: type[NetT]) -> NetT:
    """Return the averaged network itself."""
    net = average.module
    assert isinstance(net, kind)  # noqa: S101 - AveragedModel is not generic
    return net


def shuffled_batches(
    num_items: int,
    repeats: npt.NDArray[np.int64] | int,
    *,
    num_steps: int,
    size: int,
    seeds: np.random.SeedSequence,
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each step of an epoch.

    Args:
        num_items: Rows to draw from.
        repeats: Times that each is seen.
        num_steps: Steps; rows are repeated or left over where they do not come out even.
        size: Rows of a step.
        seeds: Fixes the order.
    """
    order = np.random.default_rng(seeds).permutation(np.repeat(range(num_items), repeats))
    for rows in np.resize(order, num_steps * size).reshape(num_steps, size):
        yield np.sort(rows)
