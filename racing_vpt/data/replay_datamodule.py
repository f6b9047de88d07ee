"""Batches for a model that learns from what it does: drawn from a replay buffer that a callback fills meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from racing_vpt.data.datamodule import VideoDataModule
from racing_vpt.data.replay import ReplayBuffer


class ReplayDataModule(VideoDataModule):
    """Owns the replay buffer; each training batch is drawn from it at the moment that the batch is fetched.

    Life of a run: whoever acts (a callback) calls `open_buffer` in `on_fit_start`, fills `buffer` up to `warm_up`
    transitions in `on_train_start` (before the first batch is fetched), adds steps in `on_train_batch_end`, and calls
    `buffer.update_priorities(batch.index, td_error)` there.
    """

    warm_up: int
    buffer: ReplayBuffer | None = None

    def open_buffer(
        self,
        lanes: int,
        *,
        stack: int,
        discount: float,
        actions: Sequence[Mapping[str, float]] | Sequence[str],
    ) -> ReplayBuffer:
        """Make the buffer, filled again where a run goes on with `keep_buffer`, with the demonstrations in it.

        Args:
            lanes: environments that step together.
            stack: frames in an observation.
            discount: gamma, of a decision.
            actions: controls by name of each discrete action, or the names of continuous controls.

        Raises:
            ValueError: it does not fit into memory; demonstrations of other frames or controls.
        """
        raise NotImplementedError
