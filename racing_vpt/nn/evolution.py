"""CMA-ES (Hansen 2016, arXiv:1604.00772) by the package `cma`, so that it can be stopped and continued bit for bit.

Random numbers of a generation are a function of (seed, generation). All else that the search remembers (mean, step
size, covariance and its axes, both paths, counters, histories) is read off the package's own objects as numbers, and
written back into new ones; nothing is pickled. The step size follows the cumulated path (CSA, as in the paper): in this
many dimensions the package would take two-point adaptation, which keeps candidates of its own between generations.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

LEAST = 4  # candidates in a generation: two parents are the fewest that the method knows
PARTS = ("", "sm", "adapt_sigma", "fit", "best", "sent_solutions", "_stoptolxstagnation", "sigma_vec")
logging.getLogger("cma").setLevel(logging.ERROR)


class Evolution:
    """Looks for the numbers that earn most.

    Args:
        start: float64 [D], where the search begins.
        sigma: its first step size.
        population: candidates in a generation.
        seed: of its draws.
    """

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int) -> None:
        if population < LEAST:
            raise ValueError(f"CMA-ES needs {LEAST} candidates a generation or more, but {population} were asked for")
        if not sigma > 0:
            raise ValueError(f"sigma is a step size above 0, but {sigma} was given")
        self.seed, self.generation = seed, 0
        self._random = np.random.default_rng([seed, 0])
        import cma  # with matplotlib, which only a search should wait for

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
        self._random = np.random.default_rng([self.seed, self.generation])
        return np.stack(self.search.ask())

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """What each candidate earned, float [population]; more is better.

        Raises:
            ValueError: a number is not finite.
        """
        if not np.isfinite(returns).all():
            raise ValueError(f"returns of candidates must be finite, but generation {self.generation} has {returns}")
        self.search.tell(list(candidates), [-float(value) for value in returns])
        self.generation += 1

    @property
    def mean(self) -> np.ndarray:
        """Middle of the distribution that candidates are drawn from, float64 [D]."""
        return np.array(self.search.mean)

    @property
    def sigma(self) -> float:
        """Its step size."""
        return float(self.search.sigma)

    def state(self) -> dict[str, Tensor]:
        """All that the search remembers, by name."""
        found = {name: torch.as_tensor(np.array(value)) for name, _, _, value in self._numbers()}
        return {**found, "generation": torch.tensor(self.generation)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from there.

        Raises:
            ValueError: it is of a search over other numbers.
        """
        state = dict(state)
        held, own = state["mean"].shape, self.search.mean.shape
        if tuple(held) != own:
            raise ValueError(f"the search to be continued is over {list(held)} numbers, but this one is over {own}")
        self.search.ask()  # what the package makes at its first generation is there from now on
        self.search.pop_injection_directions = []  # what is to be injected is in the state, where there is any
        self.generation = int(state.pop("generation"))
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
                present[...] = values  # in place: the package looks at some arrays under two names
            else:
                setattr(owner, attribute, np.array(values))

    def _numbers(self) -> Iterator[tuple[str, object, str, object]]:
        for part in PARTS:
            owner = getattr(self.search, part) if part else self.search
            for attribute, value in sorted(vars(owner).items()):
                if attribute in ("pop", "ary", "pop_sorted", "N", "dimension") or value is None:
                    continue  # the last generation's candidates, and what the start decides
                plain = (
                    isinstance(value, list)
                    and bool(value)
                    and all(isinstance(x, int | float | np.ndarray) for x in value)
                )
                if isinstance(value, np.ndarray | int | float) or plain:
                    yield (f"{part}/{attribute}" if part else attribute), owner, attribute, value
