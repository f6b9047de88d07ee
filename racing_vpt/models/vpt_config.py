"""Options of the policy (`vpt.py`), in the groups in which YAML nests them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from racing_vpt.checkpoints.lightning_run import FROM_CHECKPOINT
from racing_vpt.nn.sizes import POLICY_SIZES, NetSize, named_size


@dataclass(frozen=True)
class PolicyConfig:
    """Network of a policy.

    Args:
        size: `mini`, `tiny`, `small`, `1x`, `2x`, `3x`, or all settings; `init_from` takes the initial checkpoint's.
        look_back: frames that the CNN sees at once, stacked as channels, in frames back; [0] is the current frame alone
            (OpenAI), [0, 4] shows motion without a memory.
        memory_frames: frames that attention reaches back to, the current one included; None: as the size has it.
        recurrence_layers: transformer blocks; 0: only look_back is seen; None: as the size has it.
        temperature: divisor of the logits, in training too (OpenAI: 2).
        scheme: one of the game's control schemes, such as `products` of a console's games; None: the one for policies.
    """

    size: str | NetSize = "tiny"
    look_back: tuple[int, ...] = (0,)
    memory_frames: int | None = None
    recurrence_layers: int | None = None
    temperature: float = 1.0
    scheme: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "look_back", tuple(self.look_back))  # YAML and JSON give lists
        if self.memory_frames is not None and self.memory_frames < 1:
            raise ValueError(
                f"memory_frames must be at least 1 (the current frame), but {self.memory_frames} was given"
            )

    def resolved(self, init_from: str | None) -> NetSize:
        """All settings of the network, with `memory_frames` and `recurrence_layers` applied.

        Args:
            init_from: checkpoint whose size `init_from` stands for.

        Raises:
            ValueError: there is no size of that name, or the checkpoint is not that of a policy.
        """
        size = named_size(checkpoint_size(self.size, init_from), POLICY_SIZES, "policy")
        if self.memory_frames is not None:
            size = replace(size, attention_memory_size=size.timesteps + self.memory_frames)
        if self.recurrence_layers is not None:
            size = replace(size, n_recurrence_layers=self.recurrence_layers)
        return size


@dataclass(frozen=True)
class CloningConfig:
    """Options of behavioural cloning.

    Args:
        carry_memory: continue row b of a batch from row b of the previous one; needs `--data.mode lanes`.
        burn_in: first frames of a clip that are seen but not learned from, unless an episode starts there; None: as
            many as look_back lacks.
        forget: probability at each training frame of forgetting everything before it, as at an episode's start.
        null_filter: leave frames without any control out of the loss, as VPT does.
        confidence_power: p in loss weight = weight^p, where a batch's weights are the IDM's confidence
            (`--data.confidence_weighting true`); above 1, doubtful labels count even less.
        label_smoothing: share of the target that is spread over all classes.
        class_weighting: p in class weight = frequency^-p; 0 weights all classes alike.
        min_class_count: number of frames as which rarer classes count in `class_weighting`.
    """

    carry_memory: bool = False
    burn_in: int | None = None
    forget: float = 0.0
    null_filter: bool = False
    confidence_power: float = 1.0
    label_smoothing: float = 0.0
    class_weighting: float = 0.0
    min_class_count: int = 0

    def __post_init__(self) -> None:
        for name in ("forget", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), but {getattr(self, name)} was given")
        if not self.confidence_power > 0:
            raise ValueError(f"confidence_power must be more than 0, but {self.confidence_power} was given")


@dataclass(frozen=True)
class ActingConfig:
    """How a policy turns its distributions into controls when it drives.

    Args:
        choice: `mean` takes the mean of each axis, which is smooth; `mode` its most likely bin.
        temperature: divisor of the logits when driving: below 1, means lean towards the most likely bins and are less
            affected by rare bursts of other controls in the data.
    """

    choice: Literal["mean", "mode"] = "mean"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"acting.temperature must be more than 0, but {self.temperature} was given")


@dataclass(frozen=True)
class FreezingConfig:
    """Parts of the network that are not trained.

    Args:
        freeze: frozen parts, as prefixes of weight names (`net.img_process`) or patterns (`*.b_nd`).
        keep: parts of these that are trained nevertheless.
        until_step: optimizer step from which everything is trained; None: never. Until then, frozen parts take as much
            memory as trained ones.
    """

    freeze: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    until_step: int | None = None

    def __post_init__(self) -> None:
        for name in ("freeze", "keep"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.until_step is not None and self.until_step < 1:
            raise ValueError(f"until_step must be at least 1, but {self.until_step} was given")


def checkpoint_size(size: str | NetSize, init_from: str | None) -> str | NetSize:
    """The size itself, or for `init_from` that of the checkpoint `init_from`.

    Raises:
        ValueError: there is no checkpoint, or it is not that of a policy.
    """
    from racing_vpt.checkpoints.load import read_checkpoint
    from racing_vpt.checkpoints.structured import structured

    if size != FROM_CHECKPOINT:
        return size
    if init_from is None:
        raise ValueError(
            f"size {FROM_CHECKPOINT} is that of the checkpoint that training starts from, and none was given: name one "
            "with --model.init_from, such as OpenAI's F.model"
        )
    checkpoint = read_checkpoint(init_from)
    if not checkpoint.class_path.endswith((".VPT", ".VPTRL")):
        raise ValueError(f"init_from {init_from} holds a {checkpoint.class_path}, but a policy (VPT) is to be trained")
    network = structured(PolicyConfig, checkpoint.init_args.get("network", {}))
    if not isinstance(network, PolicyConfig):
        raise ValueError(f"init_from {init_from} does not describe its network; expected `network` in its settings")
    return network.resolved(None)
