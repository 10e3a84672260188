"""Check what CI builds packages with: wheels, workflows, conda's recipe: `make test-recipes`."""

import json
import os
import subprocess
import sys

from checkout import BUILD, ROOT, run

FOLDER = BUILD / "recipes"
TOOLS = ["cibuildwheel>=3.2", "check-jsonschema", "py-rattler-build"]
PYTHONS = ["cp310", "cp311", "cp312", "cp313", "cp314", "cp314t"]
WHEELS = {("linux", "x86_64"): ["manylinux_x86_64", "musllinux_x86_64"],
         ("linux", "aarch64"): ["manylinux_aarch64", "musllinux_aarch64"], ("macos", "x86_64"): ["macosx_x86_64"],
         ("macos", "arm64"): ["macosx_arm64"], ("windows", "AMD64"): ["win_amd64"]}
PYODIDE = ["cp313-pyodide_wasm32"]
# What conda-forge pins for every recipe, and what a rendered one must hold.
RENDER = """
import json, rattler_build as rb
recipe = rb.Stage0Recipe.from_file("packaging/conda/recipe.yaml")
pins = rb.VariantConfig({"c_stdlib": ["sysroot"], "cxx_compiler": ["gxx"], "python": ["3.12"]})
found = {}
for target in ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"):
    platform = rb.PlatformConfig(target_platform=target, host_platform=target,
                                 build_platform="linux-64" if "aarch" in target else target)
    (variant,) = recipe.render(pins, rb.RenderConfig(platform=platform))
    found[target] = str(variant.recipe.to_dict()["requirements"])
print(json.dumps(found))
"""


def main():
    python = tools()
    binaries = python.parent
    for (platform, arch), tags in WHEELS.items():
        same(f"{platform} {arch}", identifiers(binaries, platform, arch),
             [f"{version}-{tag}" for tag in tags for version in PYTHONS])
    same("pyodide", identifiers(binaries, "pyodide"), PYODIDE)
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    run(binaries / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    rendered = json.loads(run(python, "-c", RENDER, cwd=ROOT))
    for target, wanted in {"linux-64": "gxx_linux-64", "linux-aarch64": "cross-python_linux-aarch64",
                           "osx-arm64": "llvm-openmp", "win-64": "gxx_win-64"}.items():
        if wanted not in rendered[target]:
            sys.exit(f"recipe.yaml: expected {wanted} for {target}, got {rendered[target]}")
    wheels = len(PYTHONS) * sum(map(len, WHEELS.values())) + len(PYODIDE)
    print(f"{wheels} wheels, {len(workflows)} workflows and a recipe for {len(rendered)} platforms: right")


def tools():
    """Make an environment with the tools, which a second run finds again; return its python."""
    python = FOLDER / "bin" / "python"
    if not (FOLDER / "done").is_file():
        run(sys.executable, "-m", "venv", FOLDER)
        run(python, "-m", "pip", "install", "--quiet", *TOOLS)
        (FOLDER / "done").touch()
    return python


def identifiers(binaries, platform, arch=None):
    """Return the names of the wheels that cibuildwheel would build with pyproject.toml's settings."""
    command = [binaries / "cibuildwheel", "--platform", platform, "--print-build-identifiers", ROOT]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIBW_")}
    done = subprocess.run([*command, *(["--archs", arch] if arch else [])], text=True, capture_output=True,
                          env=environment)
    return done.stdout.split() if not done.returncode else sys.exit(done.stderr[-2000:])


def same(what, found, wanted):
    if sorted(found) != sorted(wanted):
        sys.exit(f"{what}: expected the wheels {sorted(wanted)}, got {sorted(found)}")


if __name__ == "__main__":
    main()
