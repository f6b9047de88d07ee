"""CMA-ES (Hansen 2016, arXiv:1604.00772) by the package `cma`, which can be resumed bit for bit.

Random numbers of a generation are a function of (seed, generation). The rest of the state (mean, step size, covariance
and its axes, both paths, counters, histories) is read from the package's objects as numbers and written back into new
ones; nothing is pickled. The step size is adapted by the cumulative path (CSA, as in the paper): in so many dimensions
the package would use two-point adaptation, which keeps candidates of its own between generations.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

LEAST = 4  # candidates in a generation, because the method needs two parents
PARTS = ("", "sm", "adapt_sigma", "fit", "best", "sent_solutions", "_stoptolxstagnation", "sigma_vec")
logging.getLogger("cma").setLevel(logging.ERROR)


class Evolution:
    """Maximizes a return over D parameters.

    Args:
        start: float64 [D], initial mean.
        sigma: initial step size.
        population: candidates in a generation.
        seed: seed of all draws.
    """

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int) -> None:
        if population < LEAST:
            raise ValueError(f"CMA-ES needs at least {LEAST} candidates per generation, but {population} were given")
        if not sigma > 0:
            raise ValueError(f"sigma must be above 0, but {sigma} was given")
        self.seed, self.generation = seed, 0
        self._before_ask: dict[str, Tensor] | None = None
        self._random = np.random.default_rng([seed, 0])
        import cma  # imports matplotlib, which is slow

        csa = cma.sigma_adaptation.CMAAdaptSigmaCSA
        options = {
            "AdaptSigma": csa,
            "popsize": population,
            "randn": self._normal,
            "seed": np.nan,
            "verbose": -9,
            "verb_log": 0,
        }
        self.search = cma.CMAEvolutionStrategy(np.asarray(start, np.float64), sigma, options)

    def _normal(self, *shape: int) -> np.ndarray:
        return self._random.standard_normal(shape)

    def ask(self) -> np.ndarray:
        """The candidates of a generation, float64 [population, D]."""
        self._before_ask = self.state()
        self._random = np.random.default_rng([self.seed, self.generation])
        return np.stack(self.search.ask())

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Report the return of each candidate, float [population]; more is better.

        Raises:
            ValueError: a return is not finite.
        """
        if not np.isfinite(returns).all():
            raise ValueError(f"returns of candidates must be finite, but generation {self.generation} has {returns}")
        self.search.tell(list(candidates), [-float(value) for value in returns])
        self.generation += 1
        self._before_ask = None

    @property
    def mean(self) -> np.ndarray:
        """Mean of the search distribution, float64 [D]."""
        return np.array(self.search.mean)

    @property
    def sigma(self) -> float:
        """Step size."""
        return float(self.search.sigma)

    def state(self) -> dict[str, Tensor]:
        """State of the search, by name; before the last `ask` if its returns are not known, as asking changes it."""
        if self._before_ask is not None:
            return self._before_ask
        found = {name: torch.as_tensor(np.array(value)) for name, _, _, value in self._numbers()}
        return {**found, "generation": torch.tensor(self.generation)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load a state.

        Raises:
            ValueError: it is that of a search over another number of parameters.
        """
        state = dict(state)
        held, own = state["mean"].shape, self.search.mean.shape
        if tuple(held) != own:
            raise ValueError(f"the resumed search has {list(held)} parameters, but this one has {own}")
        self.search.ask()  # creates what the package creates in its first generation
        self.search.pop_injection_directions = []  # what is to be injected is part of the state
        self.generation, self._before_ask = int(state.pop("generation")), None
        for name, stored in state.items():
            path, _, attribute = name.rpartition("/")
            owner = getattr(self.search, path) if path else self.search
            values = stored.numpy()
            present = getattr(owner, attribute, None)
            if isinstance(present, list):
                setattr(owner, attribute, values.tolist() if values.ndim == 1 else list(values.copy()))
            elif values.ndim == 0 and not isinstance(present, np.ndarray):
                setattr(owner, attribute, values.item())
            elif isinstance(present, np.ndarray) and present.shape == values.shape and present.flags.writeable:
                present[...] = values  # in place, because the package refers to some arrays by two names
            else:
                setattr(owner, attribute, np.array(values))

    def _numbers(self) -> Iterator[tuple[str, object, str, object]]:
        for part in PARTS:
            owner = getattr(self.search, part) if part else self.search
            for attribute, value in sorted(vars(owner).items()):
                if attribute in ("pop", "ary", "pop_sorted", "N", "dimension") or value is None:
                    continue  # the last generation's candidates, and constants
                plain = (
                    isinstance(value, list)
                    and bool(value)
                    and all(isinstance(x, int | float | np.ndarray) for x in value)
                )
                if isinstance(value, np.ndarray | int | float) or plain:
                    yield (f"{part}/{attribute}" if part else attribute), owner, attribute, value
