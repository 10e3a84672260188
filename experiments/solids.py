"""Random solids of six kinds, as meshes, for experiments whose data set is not at hand."""

import numpy as np

from spconv_cy.checks import as_array, generator, is_one_of
from spconv_cy.data.meshes import Mesh
from spconv_cy.errors import expected

KINDS = ("ellipsoid", "cylinder", "cone", "torus", "box", "pyramid")


def solid(kind, rng=None):
    """Return a Mesh of a solid, stretched at random along each axis, in a ball of radius 1 around the origin.

    Args:
        kind: "ellipsoid", "cylinder", "cone", "torus", "box", or "pyramid" (on four sides).
        rng: seed or numpy Generator. It draws the stretch of each axis, 0.7 to 1.4, and the thickness of a torus.

    >>> solid("box", 0)
    Mesh(16 vertices, 24 triangles)
    """
    rng = generator("solid", rng)
    around = np.linspace(0, 2 * np.pi, 33)
    thickness = rng.uniform(0.25, 0.45)
    profiles = {"ellipsoid": [np.sin(around[:17]), -np.cos(around[:17])],
                "torus": [1 + thickness * np.cos(around), thickness * np.sin(around)],
                "cylinder": [(0, 1, 1, 0), (-1, -1, 1, 1)], "cone": [(0, 1, 0), (-1, -1, 1)]}
    profiles |= {"box": profiles["cylinder"], "pyramid": profiles["cone"]}
    if not is_one_of(kind, profiles):
        raise ValueError(expected("solid", f"one of {', '.join(KINDS)}", f"{kind!r}"))
    mesh = revolved(np.stack(profiles[kind], 1), 4 if kind in ("box", "pyramid") else 32)
    return Mesh(mesh.vertices * rng.uniform(0.7, 1.4, 3), mesh.triangles).normalised(1.0)


def revolved(profile, n):
    """Return the Mesh of a line that is turned about the z axis in n steps.

    Args:
        profile: (k, 2), distances from the axis and heights.
        n: int, 3 or more; 4 turns an upright line into a prism with a square base.
    """
    profile, k = as_array("revolved", profile, np.float64), len(profile)
    angle = 2 * np.pi * np.arange(n)[:, None] / n
    vertices = np.stack([np.cos(angle) * profile[:, 0], np.sin(angle) * profile[:, 0],
                         np.broadcast_to(profile[:, 1], (n, k))], 2).reshape(-1, 3)
    step, along = np.divmod(np.arange(n * (k - 1)), k - 1)
    a, b = step * k + along, (step + 1) % n * k + along
    return Mesh(vertices, np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)]))
