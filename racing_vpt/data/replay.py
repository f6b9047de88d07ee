"""What was experienced, kept to learn from: the last of what each environment did, and demonstrations for ever.

Prioritised replay: Schaul et al. 2016, section 3.3 (arXiv:1511.05952). Demonstrations: DQfD, Hester et al. 2018
(arXiv:1704.03732); unlike there, their share of a batch is given by the caller instead of by a bonus to their
priority, so that it can follow a schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from racing_vpt.types import Stretches, Transitions


@dataclass
class Step:
    """What N environments (lanes) did in one decision.

    With gymnasium's next-step autoreset the step after an end sees the episode's last frame, its action is ignored,
    and `valid` is false; the step after that has `first` true. That last frame is what a truncated episode bootstraps
    from. Where an environment resets at once, so that the last frame is not given, the transition into a truncation is
    not learnt from.

    Args:
        frames: uint8 [N, H, W] or [N, H, W, 3], as prepared for the model: what each lane saw.
        actions: int64 [N], or float32 [N, A]: what it did.
        rewards: float32 [N], that followed.
        terminated: bool [N], whether the action ended the episode for good.
        truncated: bool [N], whether a limit ended it.
        first: bool [N], whether the frame is the first of an episode.
        valid: bool [N], false where the transition means nothing (ignored by autoreset).
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    first: np.ndarray
    valid: np.ndarray


class ReplayBuffer:
    """The last `capacity` steps of N lanes, frames once each, and demonstrations that stay.

    A stack at the beginning of an episode repeats its first frame. Sums of n rewards end with the episode.

    Args:
        capacity: steps kept of all lanes together; each lane keeps capacity // lanes.
        lanes: environments that step together, N.
        frame_shape: (H, W), or (H, W, 3).
        action_shape: () for the index of a discrete action, (A,) for continuous controls.
        stack: frames in an observation, S.
        n_step: rewards summed before bootstrapping.
        discount: gamma, of a decision.
        prioritised: alpha, how far a transition's priority decides how often it is drawn; None: all alike.
        seed: of the draws.

    Raises:
        ValueError: it would not fit into free memory; a number out of range.
    """

    def __init__(
        self,
        capacity: int,
        lanes: int,
        frame_shape: tuple[int, ...],
        action_shape: tuple[int, ...] = (),
        *,
        stack: int = 4,
        n_step: int = 1,
        discount: float = 0.99,
        prioritised: float | None = None,
        seed: int = 0,
    ) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Transitions that can be drawn, demonstrations not counted."""
        raise NotImplementedError

    def add(self, step: Step) -> None:
        """Append what the lanes did."""
        raise NotImplementedError

    def forget_episodes(self, lanes: np.ndarray) -> None:
        """Unlearn the running episode of some lanes (bool [N]): their worker died. Their next step must be `first`."""
        raise NotImplementedError

    def add_demonstrations(self, episodes: Step) -> None:
        """Keep episodes for ever.

        Args:
            episodes: one after the other: what is N in a `Step` is time here; `first` says where each begins.
        """
        raise NotImplementedError

    def sample(
        self, batch_size: int, *, beta: float = 1.0, demonstration_share: float = 0.0, step: int | None = None
    ) -> Transitions:
        """Draw transitions; a pure function of (seed, step) and of what is in the buffer.

        Args:
            batch_size: B.
            beta: how far the weights make up for unequal chances, in [0, 1].
            demonstration_share: share of the batch that is demonstrations, in the mean over batches.
            step: None counts the draws.
        """
        raise NotImplementedError

    def sample_stretches(self, batch_size: int, length: int, *, step: int | None = None) -> Stretches:
        """Draw stretches of `length` consecutive steps, every start equally likely; a function as `sample` is."""
        raise NotImplementedError

    def update_priorities(self, index: Tensor | np.ndarray, td_error: Tensor | np.ndarray) -> None:
        """Tell how wrong the model was about transitions of a batch, demonstrations among them or not.

        Args:
            index: int64 [B], of `Transitions`; what was overwritten meanwhile is passed over.
            td_error: float [B]; its sign does not matter.
        """
        raise NotImplementedError

    def save(self, folder: Path) -> str:
        """Write all that is needed to go on into a folder; returns the name of this state, for `load`."""
        raise NotImplementedError

    def load(self, folder: Path, name: str) -> None:
        """Become the state that `save` wrote."""
        raise NotImplementedError
