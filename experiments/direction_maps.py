"""Plain features of characters for classifiers that are no networks: points along the path, maps of directions."""

import numpy as np
from scipy.ndimage import gaussian_filter

import spconv_cy as sp

FINE, CELLS = 32, 8                                     # sites along a character, cells of a map along each axis
BLUR = 0.7                                              # deviation of the blur, in cells


def coordinates(characters, n=32):
    """Return (b, 2 n) coordinates: strokes joined, n points at even spacing, the longer side from 0 to 1."""
    rows = np.empty((len(characters), n, 2), np.float32)
    for row, character in zip(rows, characters, strict=True):
        points = np.concatenate([np.asarray(stroke, float).reshape(-1, 2) for stroke in character])
        way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        at = np.linspace(0, way[-1], n)
        points = np.stack([np.interp(at, way, points[:, axis]) for axis in (0, 1)], 1)
        low, extent = points.min(0), np.ptp(points, axis=0)
        row[:] = (points - low - extent / 2) / max(extent.max(), 1e-9) + 0.5
    return rows.reshape(len(characters), -1)


def direction_maps(characters, encoding="octogram"):
    """Return (b, 8 * 64) square roots of the length of ink by direction and place: a blurred map for each direction.

    Args:
        characters: a list of lists of (n, 2) strokes.
        encoding: "octogram", eight directions, or "undirected", four.
    """
    border = FINE // 4
    encoder = sp.data.StrokeEncoder(encoding, size=FINE + 2 * border, scale=FINE - 1)
    found = []
    for start in range(0, len(characters), 500):
        part = [characters[i] for i in range(start, min(start + 500, len(characters)))]
        sites, features = encoder.sites(part)
        maps = np.zeros((len(part), encoder.size, encoder.size, encoder.planes), np.float32)
        maps[tuple(np.asarray(sites).T)] = features
        maps = gaussian_filter(maps, (0, *[BLUR * FINE / CELLS] * 2, 0))
        middle = slice(border + FINE // CELLS // 2, border + FINE, FINE // CELLS)
        found.append(np.sqrt(np.maximum(maps[:, middle, middle], 0)).reshape(len(part), -1))
    return np.concatenate(found)
