"""Sizes of VPT networks: the published ones, and three for CPUs.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix D; the published files' settings are those of
foundation-model-1x, 2x, 3x and 4x_idm. Everything below the line in `NetSize` is our addition and off by
default, so that a size without additions is exactly OpenAI's network.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

S = TypeVar("S")


@dataclass(frozen=True)
class NetSize:
    """Widths and depths of a VPT trunk.

    Args:
        hidsize: width D of the transformer; also of the features that heads read.
        attention_heads: heads per block; must divide hidsize.
        impala_width: factor on every entry of impala_chans.
        impala_chans: channels of the convolution stacks; each halves height and width.
        n_recurrence_layers: transformer blocks.
        attention_memory_size: keys a query may reach, plus `timesteps` (OpenAI's way of counting): a causal net
            remembers attention_memory_size - timesteps frames. Must equal timesteps in a net that is not causal.
        timesteps: frames of a training chunk; any other length works too.
        pointwise_ratio: width of a block's MLP, as a multiple of hidsize.
        conv3d_outchan: channels of a convolution over time before the CNN (in IDMs); None: no such layer.
        conv3d_kernel: its kernel (time, height, width), odd numbers.
        conv3d_stride: stride over height and width (OpenAI: 1); larger is cheaper.
        stem: "impala" starts the CNN at full resolution, as OpenAI; "strided" begins with one strided convolution.
        stem_chans: channels of the strided stem.
        stem_kernel: its kernel, in pixels.
        stem_stride: its stride, in pixels.
        cnn_outsize: width between the CNN and the transformer's input layer.
        relative_window: frames to either side with a relative position bias in a net that is not causal; 0: none, as
            OpenAI's IDM, which knows order only through its convolution over time.
    """

    hidsize: int
    attention_heads: int
    impala_width: int = 1
    impala_chans: tuple[int, ...] = (16, 32, 32)
    n_recurrence_layers: int = 4
    attention_memory_size: int = 256
    timesteps: int = 128
    pointwise_ratio: int = 4
    conv3d_outchan: int | None = None
    conv3d_kernel: tuple[int, int, int] = (5, 1, 1)
    # ------------------------------------------------- ours; the defaults are OpenAI's network
    conv3d_stride: int = 1
    stem: Literal["impala", "strided"] = "impala"
    stem_chans: int = 32
    stem_kernel: int = 8
    stem_stride: int = 4
    cnn_outsize: int = 256
    relative_window: int = 0

    def __post_init__(self) -> None:
        for name in ("impala_chans", "conv3d_kernel"):  # YAML, JSON and pickles have lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.hidsize % self.attention_heads:
            raise ValueError(f"hidsize {self.hidsize} is not a multiple of attention_heads {self.attention_heads}")
        if self.attention_memory_size < self.timesteps:
            raise ValueError(
                f"attention_memory_size {self.attention_memory_size} is less than timesteps {self.timesteps}; "
                "it counts the frames of a chunk too, so it must be at least as large"
            )
        if len(self.conv3d_kernel) != 3 or any(k % 2 == 0 for k in self.conv3d_kernel):
            raise ValueError(f"conv3d_kernel must be three odd numbers (time, height, width), got {self.conv3d_kernel}")
        if self.stem not in ("impala", "strided"):
            raise ValueError(f'stem must be "impala" or "strided", got {self.stem!r}')

    @property
    def memory(self) -> int:
        """Frames within reach of a query in a causal net, its own included."""
        return self.attention_memory_size - self.timesteps

    @property
    def scaled_chans(self) -> tuple[int, ...]:
        """Channels of the convolution stacks, multiplied by the width factor."""
        return tuple(c * self.impala_width for c in self.impala_chans)


POLICY_SIZES: dict[str, NetSize] = {
    "mini": NetSize(
        hidsize=128, attention_heads=4, impala_chans=(16, 32), n_recurrence_layers=2,
        attention_memory_size=128, timesteps=64, stem="strided",
    ),
    "tiny": NetSize(
        hidsize=128, attention_heads=4, impala_chans=(32, 64), n_recurrence_layers=2,
        attention_memory_size=128, timesteps=64, stem="strided",
    ),
    "small": NetSize(
        hidsize=256, attention_heads=4, impala_chans=(32, 64, 64), n_recurrence_layers=4,
        attention_memory_size=256, timesteps=128, stem="strided",
    ),
    "1x": NetSize(hidsize=1024, attention_heads=8, impala_width=4),
    "2x": NetSize(hidsize=2048, attention_heads=16, impala_width=8),
    "3x": NetSize(hidsize=3072, attention_heads=24, impala_width=12),
}  # fmt: skip

IDM_SIZES: dict[str, NetSize] = {
    "tiny": NetSize(
        hidsize=128, attention_heads=4, impala_chans=(32, 64), n_recurrence_layers=2,
        attention_memory_size=64, timesteps=64, conv3d_outchan=32, conv3d_kernel=(9, 5, 5), conv3d_stride=4,
        relative_window=32,
    ),
    "small": NetSize(
        hidsize=256, attention_heads=4, impala_chans=(32, 64, 64), n_recurrence_layers=2,
        attention_memory_size=64, timesteps=64, conv3d_outchan=48, conv3d_kernel=(9, 5, 5), conv3d_stride=4,
        relative_window=32,
    ),
    "4x": NetSize(
        hidsize=4096, attention_heads=32, impala_width=16, n_recurrence_layers=2,
        attention_memory_size=128, timesteps=128, conv3d_outchan=128,
    ),
}  # fmt: skip


def named_size(size: str | S | dict, sizes: dict[str, S], kind: str) -> S:
    """The size of a name in `sizes`; settings, as checkpoints have them, are returned as a size.

    Raises:
        ValueError: no such name; `kind` names the network in the message.
    """
    if isinstance(size, dict):
        return type(next(iter(sizes.values())))(**size)
    if not isinstance(size, str):
        return size
    if size not in sizes:
        raise ValueError(f"there is no {kind} size {size!r}; there are {', '.join(sizes)}, or give all settings")
    return sizes[size]
