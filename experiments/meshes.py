"""A mesh on the cubic and the tetrahedral lattice: the cost of its surface against the volume around it."""

import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
from experiment import Experiment
from figures import in_space, powers
from solids import solid

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.errors import FileError

LATTICES = {"cubic": sp.Lattice.cubic(3), "tetrahedral": sp.Lattice.simplex(3)}
BUNNY = Path("build/bunny/package/index.js")


def main():
    parser = Experiment.parser(__doc__)
    parser.add_argument("mesh", nargs="?", type=Path, help="an .off, .ply or .obj file; by default the Stanford bunny, "
                        "npm's bunny 1.0.1 (public domain), fetched into build/bunny where npm is")
    options = parser.parse_args()
    if options.mesh and not options.log:                # docs/numbers.md does not show these
        options.log = Path("build/meshes", options.mesh.stem)
    run = Experiment.of("meshes", options)
    name, mesh = mesh_of(options.mesh)
    radii = run.pick([8, 16, 32, 64, 128], [8, 16, 32, 64], [4, 8])
    print(f"{name}: {mesh}", flush=True)
    print(run.table(f"{name}, {len(mesh.vertices):,} vertices, {len(mesh.triangles):,} triangles, written and read",
                    ["format", "bytes", "the same bits", "ms to read"], formats(run, mesh)))
    costs = {(key, r): run.once(f"{name} {key} {r}", lambda key=key, r=r: cost(mesh, key, r))
             for key in LATTICES for r in radii}
    rows = [[key, r, c["size"], *(f"{c[what]:,}" for what in ("points", "sites", "pairs", "sparse", "dense")),
             f"{1e3 * c['seconds']:.1f}"] for (key, r), c in costs.items()]
    print(run.table("DeepC2(2, 16) on it, one pass with its rules, one thread", ["lattice", "radius in sites", "field",
          "points", "sites", "pairs of the first C2", "multiply-adds", "dense multiply-adds", "ms"], rows))
    curves(run, radii, costs)
    views(run, mesh, run.pick(20, 20, 8))


def mesh_of(path):
    """Return the name and the mesh of a file; without one, of the bunny from its package; without npm, of a torus."""
    package = BUNNY.parents[1] / "bunny-1.0.1.tgz"
    if path is None and not BUNNY.exists() and shutil.which("npm"):
        BUNNY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", "--fetch-retries=0", "--fetch-timeout=20000", "bunny@1.0.1"],
                       cwd=package.parent, check=False, stdout=subprocess.DEVNULL)
        if package.exists():
            BUNNY.write_bytes(tarfile.open(package).extractfile("package/index.js").read())
    if path is None and not BUNNY.exists():
        print("The bunny (npm's bunny 1.0.1) could not be fetched: a torus takes its place.")
        return "torus", solid("torus", 0)
    try:
        return "bunny" if path is None else path.stem, sp.readers.read_mesh(path or BUNNY)
    except (OSError, FileError) as error:
        raise SystemExit(str(error)) from error


def formats(run, mesh):
    rows = []
    for ending in ("off", "obj", "ply"):
        path = run.folder / f"mesh.{ending}"
        sp.readers.write_mesh(path, mesh)
        began = time.process_time()
        again = sp.readers.read_mesh(path)
        milliseconds = 1e3 * (time.process_time() - began)
        same = np.array_equal(again.vertices, mesh.vertices) and np.array_equal(again.triangles, mesh.triangles)
        rows.append([ending.upper(), f"{path.stat().st_size:,}", "yes" if same else "NO", f"{milliseconds:.0f}"])
    return rows


def tensor(mesh, lattice, size, radius):
    data = sp.data.ShapeBatches([mesh.normalised(radius).surface(0.5)], None, size, cell=1, lattice=lattice)
    return next(data.epoch(0, training=False))[0], len(data.shapes.points)


def cost(mesh, key, radius):
    """Return the cost of a pass for a radius in sites, in the smallest field that holds a ball of this radius."""
    lattice, layers = LATTICES[key], sp.models.deepc2(2, 16, d=LATTICES[key], rng=0).eval()
    size = next(s for n in range(1, 10_000) for s in [layers.input_size(n)[0]] if lattice.inradius((s,) * 3) > radius)
    x, points = tensor(mesh, lattice, size, radius)
    summary = layers.summary(x)
    return {"size": size, "points": points, "sites": x.grid.n, "sparse": summary.pair_multiply_adds,
            "dense": summary.dense_multiply_adds, "seconds": Experiment.cost(layers, x, repeats=3)["ms"] / 1e3,
            "pairs": len(x.grid.rules(layers.layers[0].window)[1].in_rows)}


def curves(run, radii, costs):
    figure = plot.figure(9, 3.7)
    for axes, what, title, label in zip(figure.subplots(1, 3), ("sites", "sparse", "seconds"),
                                        ("Active sites", "Arithmetic of a pass", "Time of a pass, one thread"),
                                        ("active sites", "multiply-adds", "seconds"), strict=True):
        shown = {key: [costs[key, r][what] for r in radii] for key in LATTICES}
        if what == "sparse":
            shown |= {f"{key}, dense": [costs[key, r]["dense"] for r in radii] for key in LATTICES}
        powers(axes, radii, shown)
        axes.set(xlabel="radius of the mesh, sites", ylabel=label, ylim=(None, 12 * axes.get_ylim()[1]))
        axes.set_title(title, fontsize=11)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    run.picture("cost", figure, "Sites, multiply-adds and seconds of a pass against the radius: a surface grows with "
                "its square, its field with its cube.")


def views(run, mesh, radius):
    tensors = {}
    for key, lattice in LATTICES.items():
        x = tensor(mesh, lattice, int(np.ceil(radius / lattice.inradius((1,)))) + 2, radius)[0]
        tensors[f"{key} lattice, {x.grid.n:,} sites"] = x
    figure = plot.figure(8, 4)
    in_space(figure, tensors, 10 if radius > 10 else 5)
    run.picture("mesh", figure, f"Its sites at a radius of {radius}, the nearer the brighter.")


if __name__ == "__main__":
    main()
