"""Road and grass as a texture seen by a camera.

The stock environment draws some 700 polygons on a 1000x800 surface and shrinks it to 96x96 at every frame. Here a track
is drawn once, at about half an observation pixel per texel, and a frame is one affine warp of it. Rasterisation follows
the stock one closely: at full zoom a canvas pixel is as large as a pixel of the stock surface, so that both widen
polygons by the same pixel. The field is divided into 20x20 cells of one grass square each; a cell with road is drawn
when the camera first sees it.

Texture coordinates: u = (x + PLAYFIELD) * scale to the right, v = (y + PLAYFIELD) * scale downwards; the texture is
exactly the playfield; everything beyond is black.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from racing_vpt.envs.carracing.instruments import SHRINKING_LOSS

PLAYFIELD = 2000 / 6.0  # half the side of the field, in track units
NUM_CELLS = 20  # cells per side; a cell is 2 grass squares wide
CELL = 2 * PLAYFIELD / NUM_CELLS
CELL_TEXELS = 128
SCALE = CELL_TEXELS / CELL  # 3.84 texels per track unit
OVERSAMPLING = 4  # canvas pixels per texel: 15.4 per track unit; the stock surface has 16.2
MARGIN = 1  # texels drawn around a cell, for the filter
SMOOTHING = 0.12  # share of each neighbouring texel: with bilinear sampling about the extent of a pixel
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates

WIDTH = 96
ROAD_ROWS = 84  # the instruments hide the rows below
PIXEL_WIDTH, PIXEL_HEIGHT = 1000 / 96, 800 / 96  # an observation pixel in pixels of the stock surface
CAR_COLUMN, CAR_ROW = 48, 72
FULL_ZOOM = (
    16.0  # zoom above which (16.2 from the second second on) one sample of the smoothed texture averages a pixel
)
FINE_ZOOM = 10.4  # at half of it the camera changes to the next coarser level, at a quarter to the one after

Polygon = tuple[Sequence[tuple[float, float]], np.ndarray | tuple[int, int, int]]


class TrackTexture:
    """A track seen from above by a camera that moves, turns and zooms."""

    def __init__(self) -> None:
        side = NUM_CELLS * CELL_TEXELS
        # Four channels, the last unused: OpenCV warps them more than twice as fast as three.
        self.levels: list[np.ndarray] = [np.zeros((side >> level, side >> level, 4), np.uint8) for level in range(4)]
        self.drawn = np.ones((NUM_CELLS, NUM_CELLS), bool)  # [row, column]; False where road is not drawn yet
        self.colors: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self.has_road = np.zeros_like(self.drawn)
        self.polygons: Sequence[Polygon] = []

    def reset(self, polygons: Sequence[Polygon], field_color: np.ndarray, grass_color: np.ndarray) -> None:
        """Start with a new track.

        Args:
            polygons: corners in track units and RGB colour, in drawing order; kept, as colours change in place.
            field_color: RGB of the field, 0..255.
            grass_color: RGB of the grass squares, 0..255.
        """
        colors = (_rgb(field_color), _rgb(grass_color))
        if colors != self.colors:
            self.colors = colors
            self._draw_fields()
        else:
            for row, column in np.argwhere(self.has_road & self.drawn):
                self._cell(row, column)[:] = self._empty_cell
            self.levels[1][:], self.levels[2][:] = self._empty_levels
        self.polygons = polygons
        self.corners = (np.array([corners for corners, _ in polygons]) + PLAYFIELD) * SCALE  # (P, 4, 2) texels
        self._assign_cells()
        for level in (1, 2):
            self._draw_polygons(self.levels[level], self.corners / 2**level, range(len(polygons)))
        self.levels[3] = cv2.resize(self.levels[2], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)

    def recolor(self, polygon: int) -> None:
        """Redraw a road tile whose colour changed, except its outermost texel, so that edges stay smooth."""
        corners = self.corners[polygon]
        inner = corners.copy()
        width = np.linalg.norm(corners[1] - corners[0])
        for left, right in ((0, 1), (3, 2)):
            inward = (corners[right] - corners[left]) / width
            inner[left] = corners[left] + inward
            inner[right] = corners[right] - inward
        points = np.rint((inner - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.levels[0], points, _rgb(self.polygons[polygon][1]), shift=SHIFT)

    def draw_view(self, picture: np.ndarray, x: float, y: float, angle: float, zoom: float) -> None:
        """Draw the camera's view.

        Args:
            picture: uint8 [84, 96, 3], RGB, overwritten.
            x: position of the car in track units.
            y: position of the car in track units.
            angle: angle of the car in radians; its nose points up in the picture.
            zoom: pixels of the stock surface per track unit.
        """
        # Zoomed out, a pixel is many texels wide: a coarser level, and several samples a pixel.
        level = min(max(math.floor(math.log2(FINE_ZOOM / zoom)), 0), 3)
        samples = 1 if zoom > FULL_ZOOM else 2
        scale = SCALE / 2**level
        cos, sin = math.cos(angle) * scale / zoom, math.sin(angle) * scale / zoom  # texels per surface pixel
        right_u, right_v = cos * PIXEL_WIDTH, sin * PIXEL_WIDTH  # texels per observation pixel
        down_u, down_v = sin * PIXEL_HEIGHT, -cos * PIXEL_HEIGHT
        u = (x + PLAYFIELD) * scale - CAR_COLUMN * right_u - CAR_ROW * down_u  # corner of the picture
        v = (y + PLAYFIELD) * scale - CAR_COLUMN * right_v - CAR_ROW * down_v
        if level == 0:
            corners_u = (u, u + WIDTH * right_u, u + ROAD_ROWS * down_u, u + WIDTH * right_u + ROAD_ROWS * down_u)
            corners_v = (v, v + WIDTH * right_v, v + ROAD_ROWS * down_v, v + WIDTH * right_v + ROAD_ROWS * down_v)
            self._draw_cells(_cells(corners_v), _cells(corners_u))
        half = 0.5 / samples
        matrix = np.array(
            (
                (right_u / samples, down_u / samples, u + (right_u + down_u) * half - 0.5),
                (right_v / samples, down_v / samples, v + (right_v + down_v) * half - 0.5),
            )
        )
        size = (samples * WIDTH, samples * ROAD_ROWS)
        warped = cv2.warpAffine(self.levels[level], matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if samples > 1:
            warped = cv2.resize(warped, (WIDTH, ROAD_ROWS), interpolation=cv2.INTER_AREA)
        cv2.cvtColor(
            warped, cv2.COLOR_BGRA2BGR, dst=picture
        )  # drops the fourth channel and keeps the order of the others

    def _draw_cells(self, rows: slice, columns: slice) -> None:
        """Draw the road of these cells where it is not drawn yet."""
        waiting = ~self.drawn[rows, columns]
        if waiting.any():
            for row, column in np.argwhere(waiting).tolist():
                self._draw_cell(rows.start + row, columns.start + column)

    def _draw_cell(self, row: int, column: int) -> None:
        canvas = self._empty_canvas.copy()
        indices = self._cell_polygons[row, column]
        origin = np.array((column, row)) * CELL_TEXELS - MARGIN
        self._draw_polygons(canvas, (self.corners[indices] - origin) * OVERSAMPLING, indices)
        self._cell(row, column)[:] = _reduce(canvas)
        self.drawn[row, column] = True

    def _draw_polygons(self, image: np.ndarray, corners: np.ndarray, indices: Sequence[int]) -> None:
        """Fill polygons with corners (P, 4, 2) in pixels of the image, whose first pixel is centred at 0.5."""
        points = np.rint((corners - 0.5) * (1 << SHIFT)).astype(np.int32)
        for polygon, index in zip(points, indices, strict=True):
            cv2.fillConvexPoly(image, polygon, _rgb(self.polygons[index][1]), shift=SHIFT)

    def _draw_fields(self) -> None:
        """Draw the empty field at every level."""
        assert self.colors is not None
        field, grass = self.colors
        side = (CELL_TEXELS + 2 * MARGIN) * OVERSAMPLING
        self._empty_canvas = np.empty((side, side, 4), np.uint8)
        self._empty_canvas[:] = (*field, 0)
        for origin in np.array([(0, 0), (CELL_TEXELS, 0), (0, CELL_TEXELS), (CELL_TEXELS, CELL_TEXELS)]):
            low = (origin + MARGIN) * OVERSAMPLING
            high = low + CELL_TEXELS // 2 * OVERSAMPLING
            cv2.rectangle(self._empty_canvas, low.tolist(), high.tolist(), (*grass, 0), cv2.FILLED)
        self._empty_cell = _reduce(self._empty_canvas)
        self.levels[0][:] = np.tile(self._empty_cell, (NUM_CELLS, NUM_CELLS, 1))
        self._empty_levels = []
        for level in (1, 2):
            size = CELL_TEXELS >> level
            cell = np.empty((size, size, 4), np.uint8)
            cell[:] = (*field, 0)
            cv2.rectangle(cell, (0, 0), (size // 2, size // 2), (*grass, 0), cv2.FILLED)
            self._empty_levels.append(np.tile(cell, (NUM_CELLS, NUM_CELLS, 1)))
            self.levels[level][:] = self._empty_levels[-1]

    def _assign_cells(self) -> None:
        """Find the polygons in each cell, margin included."""
        low = ((self.corners.min(1) - MARGIN - 1) // CELL_TEXELS).astype(int)
        high = ((self.corners.max(1) + MARGIN + 1) // CELL_TEXELS).astype(int)
        self._cell_polygons: dict[tuple[int, int], list[int]] = {}
        for index, ((column0, row0), (column1, row1)) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            for row in range(row0, row1 + 1):
                for column in range(column0, column1 + 1):
                    self._cell_polygons.setdefault((row, column), []).append(index)
        self.drawn[:] = True
        for row, column in self._cell_polygons:
            self.drawn[row, column] = False
        self.has_road = ~self.drawn

    def _cell(self, row: int, column: int) -> np.ndarray:
        rows = slice(row * CELL_TEXELS, (row + 1) * CELL_TEXELS)
        return self.levels[0][rows, column * CELL_TEXELS : (column + 1) * CELL_TEXELS]


def _reduce(canvas: np.ndarray) -> np.ndarray:
    """Average a canvas to texels, sharpen them, and cut off the margin."""
    size = canvas.shape[0] // OVERSAMPLING
    texels = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    taps = np.array((SMOOTHING, 1 - 2 * SMOOTHING, SMOOTHING))
    texels = cv2.sepFilter2D(texels, -1, taps, taps)
    return texels[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _rgb(color: np.ndarray | tuple[int, int, int]) -> tuple[int, ...]:
    """The colour as in the stock picture."""
    return tuple(max(int(value) - SHRINKING_LOSS, 0) for value in color)


def _cells(texels: tuple[float, float, float, float]) -> slice:
    """Rows or columns of cells between the smallest and largest of these coordinates."""
    low, high = min(texels) // CELL_TEXELS, max(texels) // CELL_TEXELS + 1
    return slice(int(min(max(low, 0), NUM_CELLS)), int(min(max(high, 0), NUM_CELLS)))
