"""Finds the part of the picture that shows the controls, so that no rectangle has to be given.

It is something at a fixed place in the picture that moves with the controls: a steering wheel, front wheels, a rev
counter. Each block of 8x8 pixels predicts the controls by ridge regression on its log-luma and is scored on held-out
recordings, to which what the block shows generalizes and a driver's habits do not. The view is a window around the best
block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racing_vpt.models.idm_net import BLACK

BLOCK, STRIDE = 8, 4  # pixels
RIDGE = 30.0  # added to the diagonal; log-luma of a block over thousands of frames has sums of about 1 to 1,000
REACTION = 1  # frames from a control to the picture that shows it
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
LEAST_R2 = 0.2  # a block with a lower score shows no control


def control_scores(videos: Sequence[np.ndarray], controls: Sequence[np.ndarray]) -> np.ndarray:
    """Held-out R2 of each block for the control that it predicts best, float64 [rows, columns].

    Args:
        videos: uint8 [T, H, W, 3] each, at the model's size; two or more.
        controls: float [T, C] each.
    """
    blocks, targets, fold = [], [], []
    for number, (frames, values) in enumerate(zip(videos, controls, strict=True)):
        light = np.log(frames[REACTION:].astype(np.float32) @ LUMA + BLACK)
        windows = np.lib.stride_tricks.sliding_window_view(light, (BLOCK, BLOCK), (1, 2))[:, ::STRIDE, ::STRIDE]
        blocks.append(windows.reshape(len(light), *windows.shape[1:3], BLOCK**2))
        targets.append(values[: len(values) - REACTION])
        fold.append(np.full(len(light), number % 2))
    x, y, folds = np.concatenate(blocks), np.concatenate(targets), np.concatenate(fold)
    if folds.min() == folds.max():
        raise ValueError("finding the view needs at least two episodes, to fit on some and test on others")
    spread = np.square(y - y.mean(0)).sum(0)
    score = np.zeros(x.shape[1:3])
    for row, column in np.ndindex(*score.shape):
        errors = np.zeros(y.shape[1])
        for held in (0, 1):
            fit = folds != held
            mean, middle = x[fit, row, column].mean(0), y[fit].mean(0)
            centred = x[fit, row, column] - mean
            weights = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(BLOCK**2), centred.T @ (y[fit] - middle))
            predicted = (x[~fit, row, column] - mean) @ weights + middle
            errors += np.square(predicted - y[~fit]).sum(0)
        score[row, column] = np.where(spread > 1e-6, 1 - errors / spread.clip(1e-6), 0).max()
    return score


def find_view(score: np.ndarray, height: int, width: int) -> tuple[int, int] | None:
    """Top and left of the window of `height` x `width` pixels around the best block; None if no block is good enough.

    Args:
        score: result of `control_scores`.
        height: pixels.
        width: pixels.
    """
    if score.max() < LEAST_R2:
        return None
    row, column = np.unravel_index(score.argmax(), score.shape)
    near = np.zeros_like(score)
    near[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 1
    weights = near * score * (score > 0.5 * score.max())  # the centre shifts towards good neighbours
    place = []
    for axis, size in enumerate((height, width)):
        middles = np.arange(score.shape[axis]) * STRIDE + BLOCK / 2
        middle = (weights.sum(1 - axis) * middles).sum() / weights.sum()
        most = (score.shape[axis] - 1) * STRIDE + BLOCK - size
        place.append(int(np.clip(round(middle - size / 2), 0, most)))
    return place[0], place[1]
