"""The MDN-RNN of World Models: predicts the next code from all codes and controls before it.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.2. The LSTM has one bias vector, as in TensorFlow, where torch has
two: 422,368 parameters. The heads for the reward and the end of an episode are an addition, for dreaming.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from racing_vpt.nn.mixture import Mixture

MemoryState = tuple[Tensor, Tensor]
"""Output and cell state of the LSTM, float32 [N, width] each."""


class LSTM(nn.Module):
    """One layer with one bias vector.

    Args:
        inputs: number of inputs at each step.
        width: number of outputs.
    """

    no_bias: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.input_weight = nn.Parameter(torch.empty(4 * width, inputs).uniform_(-bound, bound))
        self.output_weight = nn.Parameter(torch.empty(4 * width, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(4 * width).uniform_(-bound, bound))
        self.register_buffer("no_bias", torch.zeros(4 * width), persistent=False)

    def forward(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Outputs [N, T, width] for inputs [N, T, inputs], and the state after them."""
        weights = [self.input_weight, self.output_weight, self.bias, self.no_bias]
        before = [part.unsqueeze(0) for part in state]
        y, output, cell = torch.lstm(x, before, weights, True, 1, 0.0, self.training, False, True)
        return y, (output.squeeze(0), cell.squeeze(0))

    def step(self, x: Tensor, state: MemoryState) -> MemoryState:
        """The state after one input [N, inputs]."""
        return torch.lstm_cell(x, state, self.input_weight, self.output_weight, self.bias, self.no_bias)


class MemoryNet(nn.Module):
    """LSTM, mixture density head, and heads for reward and end.

    Args:
        latent: dimensions of a code.
        controls: dimensions of an action.
        width: width of the LSTM.
        components: Gaussians of the mixture for each dimension of the next code.
        outcomes: add heads for reward and end.
    """

    def __init__(
        self, latent: int = 32, controls: int = 3, width: int = 256, components: int = 5, outcomes: bool = True
    ) -> None:
        super().__init__()
        if min(latent, controls, width, components) < 1:
            raise ValueError(
                "latent, controls, width and components must be at least 1, but they are "
                f"{latent}, {controls}, {width}, {components}"
            )
        self.latent, self.width, self.components = latent, width, components
        self.lstm = LSTM(latent + controls, width)
        self.next_code = nn.Linear(width, 3 * latent * components)
        self.outcome = nn.Linear(width, 2) if outcomes else None

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> MemoryState:
        """Memory before an episode's first frame, for n environments."""
        return torch.zeros(n, self.width, device=device), torch.zeros(n, self.width, device=device)

    def forward(self, z: Tensor, actions: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Outputs after each step, float32 [N, T, width], for codes and actions [N, T, ...]; and the state."""
        return self.lstm(torch.cat([z, actions], -1), state)

    def step(self, z: Tensor, actions: Tensor, state: MemoryState) -> MemoryState:
        """State after one step with codes [N, latent] and actions [N, controls]; its first part is the output."""
        return self.lstm.step(torch.cat([z, actions], -1), state)

    def predict(self, remembered: Tensor) -> Mixture:
        """Distribution of the next code for outputs [..., width]."""
        return Mixture.of(self.next_code(remembered), self.components)

    def outcomes(self, remembered: Tensor) -> tuple[Tensor, Tensor]:
        """Reward [...] of the step just taken, and the logit [...] that it ended the episode.

        Raises:
            ValueError: the memory was trained without these heads.
        """
        if self.outcome is None:
            raise ValueError(
                "this MDN-RNN has no heads for reward and end, which dreaming needs; train one with "
                "--model.outcomes true"
            )
        reward, end = self.outcome(remembered).unbind(-1)
        return reward, end
