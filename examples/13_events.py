"""Windows of 20 ms of an event camera's recording, played forward or backward: does a network see which?"""

from functools import partial

import numpy as np

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.data.synthetic import flight

SIDE, LENGTH, PIXELS, CELL = 92, 20_000, 4, 2000        # crop in pixels, window in microseconds, and the cells of both
CASES = (("axis", "none"), ("none", "none"), ("none", "kept"), ("axis", "kept"), ("none", "flipped"))
SPLITS = {"late": "the last 30 %", "amid": "a fifth, amid the training"}
POLARITY = {"none": "left out", "kept": "as recorded", "flipped": "exchanged when played backward"}


def main():
    parser = sp.Experiment.parser(__doc__, data="folder with events_dvs.npz (neuromorphicsystems/faery, "
                                                "tests/data/dvs.es, MIT)")
    run = sp.Experiment.of("events", parser.parse_args())
    events, name = recording(run)
    last, step = int(events.t[-1]) + 1 - LENGTH, run.pick(5000, 10_000, 50_000)
    # The first millisecond is the camera waking up. First 70 % to train on; and, to tell what is hard about the rest,
    # the middle 20 ms of every 100, whose views those to train on surround.
    border, starts = int(0.7 * last), np.arange(1000, last, step)
    amid = (starts // 10_000 % 10 >= 4) & (starts // 10_000 % 10 < 6)
    near = (starts // 10_000 % 10 >= 2) & (starts // 10_000 % 10 < 8)
    splits = {"late": (starts[starts < border - LENGTH], starts[starts >= border]),
              "amid": (starts[~near], starts[amid])}

    rows = []
    for split, (train, test) in splits.items():
        for time, polarity in CASES if split == "late" else CASES[:run.pick(2, 1, 0)]:
            seeds = run.pick(2, 1, 1) if split == "late" and polarity == "none" else 1
            found = [told(run, events, split, train, test, time, polarity, seed) for seed in range(seeds)]
            rates = [100 * (1 - figures["error"]) for figures in found]
            rows.append([SPLITS[split], "x, y, t" if time == "axis" else "x, y", POLARITY[polarity],
                         f"{found[0]['sites']:,.0f}", f"{found[0]['parameters']:,}", f"{found[0]['adds']:,.0f}",
                         f"{np.mean(rates):.1f}", ", ".join(f"{rate:.1f}" for rate in rates)])
    print(run.table(f"Forward or backward? {name}, windows of {LENGTH // 1000} ms, crops of {SIDE} x {SIDE} pixels, "
                    "each both ways", ["test", "axes", "polarity", "sites a crop", "parameters", "multiply-adds",
                                       "right, %", "each seed"], rows))
    if run.size != "tiny":
        run.picture("windows", picture(events, border), "Windows of the recording, coloured by the time of the last "
                    "event of each pixel: the upper row in the training's part, the lower in the test's.")


def recording(run):
    path = None if run.data is None or run.size == "tiny" else run.data / "events_dvs.npz"
    if path is None or not path.exists():
        print("no events_dvs.npz in a folder of --data: a dart's flight made from the seed")
        return flight(seed=run.seed), "a dart's flight"
    return sp.read_events(path), "events_dvs.npz"


def told(run, events, split, train, test, time, polarity, seed):
    """Train and test on crops of windows, each played forward (class 0) and backward (class 1)."""
    parts, options = [], {"mirror": True, "turn": np.pi, "stretch": 0.25, "shift": 8, "boost": 0.1}
    for i, (starts, crops) in enumerate(((train, run.pick(3, 3, 2)), (test, run.pick(3, 3, 2)))):
        crops = events.crops(starts, LENGTH, SIDE, crops, least=300, seed=seed)
        backward = np.repeat([False, True], len(crops))
        parts.append(sp.EventBatches(events, np.tile(crops, (2, 1)), backward.astype(int), backward=backward,
                                     length=LENGTH, side=SIDE, pixels=PIXELS, microseconds=CELL, field=23, time=time,
                                     polarity=polarity, factors=parts[0].factors if parts else None, batch=20,
                                     **options if i == 0 else {}))
    build = partial(sp.widest, lambda k: sp.deepcnet(3, k, parts[0].planes, 2, d=len(parts[0].size), first=2, rng=seed),
                    16_500)
    return run.classifier(f"{split} {time} {polarity} {seed}", build, *parts, run.pick(16, 6, 1), seed=seed)


def picture(events, border):
    figure = plot.figure(10, 5)
    starts = np.concatenate([np.linspace(1000, border - LENGTH, 4), np.linspace(border, events.t[-1] - LENGTH, 4)])
    for axes, start in zip(figure.subplots(2, 4).flat, starts, strict=True):
        window = slice(*events.between(start, start + LENGTH))
        image = np.full(events.size[::-1], np.nan)
        image[events.y[window], events.x[window]] = (events.t[window] - start) / 1000
        drawn = axes.imshow(image, cmap="viridis", vmin=0, vmax=LENGTH / 1000, interpolation="nearest")
        axes.set(title=f"from {start / 1000:.0f} ms", xticks=[], yticks=[])
    figure.colorbar(drawn, ax=figure.axes, label="ms in the window")
    return figure


if __name__ == "__main__":
    main()
