"""Build for aarch64 on an x86-64 Debian and test NEON under qemu: `make test-arm`; needs root the first time."""

import os
import platform
import re
import shutil
import sys
from pathlib import Path

from checkout import BUILD, ROOT, copy_of_checkout, run, seconds, tools, want

ARM = BUILD / "arm"
TRIPLE = "aarch64-linux-gnu"
CROSS = ["qemu-user-static", f"gcc-{TRIPLE}", f"g++-{TRIPLE}", "libc6-dev-arm64-cross"]
PACKAGES = ["python3", "libpython3-dev", "python3-distutils", "libgomp1", "libstdc++6", "libgcc-s1", "zlib1g"]
WHEELS = ["numpy", "scipy", "safetensors", "tqdm", "pytest", "hypothesis"]
PLATFORMS = ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "any"]
TESTS = [("tests/test_ops.py",), ("tests/test_dense_equivalence.py", "-k", "instruction_set"),
         ("tests/test_bits.py", "-k", "not smallest_stack and not other_settings")]


def main():
    if platform.machine() != "x86_64" or sys.version_info[:2] != (3, 11):
        sys.exit("make test-arm: Python 3.11 on x86-64 is wanted, as Debian 12 has it for both machines")
    needed = "qemu-aarch64-static", f"{TRIPLE}-g++"
    want(lambda: all(map(shutil.which, needed)), CROSS, "qemu and a cross compiler are")
    fill_root()
    fill_site()
    began = seconds()
    build()
    print(f"built for aarch64: {seconds() - began:.0f} s of processor time", flush=True)
    print(python("-c", "import spconv_cy as sp; print(sp.show_config())").strip(), flush=True)
    print(python(ROOT / "tests/builds/same_bits.py", "neon", "portable").strip(), flush=True)
    log = python(ROOT / "experiments/same_log.py", "--one").strip().splitlines()[-1]
    (ARM / "same_log.json").write_text(log)
    print(f"{log}\nbeside this machine's: python experiments/same_log.py --other {ARM / 'same_log.json'}", flush=True)
    for words in TESTS:
        began, said = seconds(), python("-m", "pytest", "-q", "-p", "no:cacheprovider", *words)
        passed = re.findall(r".*passed.*", said)[-1]
        print(f"{words[0]}: {passed}, {seconds() - began:.0f} s of processor time", flush=True)


def fill_root():
    """Unpack Debian's packages for arm64 below build/arm/root, by an apt of our own: the machine's stays as it is."""
    if (ARM / "root/done").is_file():
        return
    for name in ("state/lists/partial", "cache/archives/partial", "root"):
        (ARM / name).mkdir(parents=True, exist_ok=True)
    (ARM / "status").touch()
    (ARM / "sources.list").write_text("".join(debian_sources()))
    settings = {"APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State": ARM / "state",
                "Dir::State::status": ARM / "status", "Dir::Cache": ARM / "cache",
                "Dir::Etc::sourcelist": ARM / "sources.list", "Dir::Etc::sourceparts": "/dev/null"}
    (ARM / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    apt = ("apt-get", "-c", ARM / "apt.conf", "-qq")
    run(*apt, "update")
    run(*apt, "install", "--yes", "--no-install-recommends", "--download-only", "-o", "Debug::NoLocking=1", *PACKAGES)
    for archive in sorted((ARM / "cache/archives").glob("*.deb")):
        run("dpkg", "-x", archive, ARM / "root")
    (ARM / "root/done").touch()


def debian_sources():
    """List the machine's own Debian sources as lines for arm64."""
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        text = path.read_text() if path.is_file() else ""
        if path.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                field = dict(re.findall(r"^([\w-]+): *(.*)$", stanza, re.M))
                if "debian" in field.get("URIs", "") and "deb" in field["Types"].split():
                    signed = f" signed-by={field['Signed-By']}" if "Signed-By" in field else ""
                    for uri in field["URIs"].split():
                        for suite in field["Suites"].split():
                            yield f"deb [arch=arm64{signed}] {uri} {suite} {field['Components']}\n"
        else:
            for options, rest in re.findall(r"^deb +(?:\[(.*?)\] *)?(\S*debian\S* .*)$", text, re.M):
                kept = [word for word in options.split() if not word.startswith("arch=")]
                yield f"deb [{' '.join(['arch=arm64', *kept])}] {rest}\n"


def fill_site():
    """Fetch the wheels that the tests need."""
    if (ARM / "site/done").is_file():
        return
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", ARM / "site", *platforms, "--only-binary=:all:",
        "--python-version", "3.11", "--implementation", "cp", *WHEELS)
    (ARM / "site/done").touch()


def build():
    """Cross-build a wheel of the checkout and unpack it; copy the tests beside."""
    source, root = copy_of_checkout(ARM / "source"), ARM / "root"
    data = "_sysconfigdata__aarch64-linux-gnu"
    (ARM / "sysconfig").mkdir(exist_ok=True)
    shutil.copy(root / f"usr/lib/python3.11/{data}.py", ARM / "sysconfig")
    include = f"-I{root}/usr/include/python3.11 -I{root}/usr/include"
    link = f"{TRIPLE}-g++ -shared"
    shutil.rmtree(source / "dist", ignore_errors=True)
    run(sys.executable, "setup.py", "-q", "bdist_wheel", cwd=source, env={
        **os.environ, "CC": f"{TRIPLE}-gcc", "CXX": f"{TRIPLE}-g++", "AR": f"{TRIPLE}-ar", "LDSHARED": link,
        "LDCXXSHARED": link, "CFLAGS": include, "CXXFLAGS": include, "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "_PYTHON_SYSCONFIGDATA_NAME": data, "PYTHONPATH": f"{ARM / 'sysconfig'}:{tools()}"})
    shutil.rmtree(ARM / "installed", ignore_errors=True)
    wheel, = (source / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, ARM / "installed", "zip")
    copy_of_checkout(ARM / "run", ["tests", "pyproject.toml"])


def python(*words):
    """Run the other machine's Python under qemu, with one thread: qemu's many threads take many times as long."""
    root = ARM / "root"
    settings = {"LD_LIBRARY_PATH": root / f"usr/lib/{TRIPLE}", "PYTHONPATH": f"{ARM / 'installed'}:{ARM / 'site'}",
                "OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "OMP_WAIT_POLICY": "passive"}
    given = [word for key, value in settings.items() for word in ("-E", f"{key}={value}")]
    return run("qemu-aarch64-static", "-L", root, *given, root / "usr/bin/python3.11", *words, cwd=ARM / "run")


if __name__ == "__main__":
    main()
