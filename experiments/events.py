"""Does a network see whether 20 ms of an event camera's recording are played forward or backward?"""

from functools import partial

import numpy as np
from budget import widest
from experiment import Experiment
from world_lines import dart_events

import spconv_cy as sp
from spconv_cy import plot

SIDE, LENGTH, PIXELS, CELL = 138, 20_000, 3, 2000       # crop in pixels, window in microseconds, cells of both
EPOCHS, RATE = {"late": (24, 6, 1), "amid": (24, 13, 1)}, 0.004
ALL = ("axis", "none"), ("none", "none"), ("none", "kept"), ("axis", "kept"), ("none", "flipped")
CASES = {"late": (ALL, (ALL[0], ALL[1], ALL[4]), ALL), "amid": (ALL[:2], ALL[:1], ())}
SPLITS = {"late": "the last 30 %", "amid": "a fifth, amid the training"}
POLARITY = {"none": "left out", "kept": "as recorded", "flipped": "exchanged when played backward"}


def main():
    parser = Experiment.parser(__doc__, data="folder with events_dvs.npz (neuromorphicsystems/faery, "
                                             "tests/data/dvs.es, MIT)")
    run = Experiment.of("events", parser.parse_args())
    events, name = recording(run)
    last, step = int(events.t[-1]) + 1 - LENGTH, run.pick(5000, 5000, 50_000)
    # The first millisecond is left out, since the camera starts. "late" trains on the first 70 % and tests on the rest.
    # "amid" tests on the middle 20 ms of every 100, between windows to train on: it shows what is hard about "late".
    border, starts = int(0.7 * last), np.arange(1000, last, step)
    amid = (starts // 10_000 % 10 >= 4) & (starts // 10_000 % 10 < 6)
    near = (starts // 10_000 % 10 >= 2) & (starts // 10_000 % 10 < 8)
    splits = {"late": (starts[starts < border - LENGTH], starts[starts >= border]),
              "amid": (starts[~near], starts[amid])}

    rows = []
    for split, (train, test) in splits.items():
        for time, polarity in run.pick(*CASES[split]):
            seeds = run.pick(2, 1, 1) if (time, polarity) == ("axis", "none") else 1
            found = [told(run, events, split, train, test, time, polarity, seed) for seed in range(seeds)]
            rates = [100 * (1 - figures["error"]) for figures in found]
            rows.append([SPLITS[split], "x, y, t" if time == "axis" else "x, y", POLARITY[polarity],
                         f"{found[0]['sites']:,.0f}", f"{found[0]['parameters']:,}", f"{found[0]['adds']:,.0f}",
                         f"{np.mean(rates):.1f}", ", ".join(f"{rate:.1f}" for rate in rates)])
    print(run.table(f"Forward or backward? {name}, windows of {LENGTH // 1000} ms, crops of {SIDE} x {SIDE} pixels, "
                    "each both ways", ["test", "axes", "polarity", "sites a crop", "parameters", "multiply-adds",
                                       "right, %", "each seed"], rows))
    if run.size != "tiny":
        shares = {SPLITS[split]: run.once(f"{split} in time", partial(in_time, run, events, split, *parts))
                  for split, parts in splits.items() if f"{split} axis none 0" in run.figures}
        run.picture("windows", picture(events, border, shares), "Above: windows of the recording, coloured by the time "
                    "of the last event of each pixel; the last one is of the test's part. Below: the share of right "
                    "answers with time and without polarity, by when the test's window lies in the recording.")


def recording(run):
    path = None if run.data is None or run.size == "tiny" else run.data / "events_dvs.npz"
    if path is None or not path.exists():
        print("no events_dvs.npz in a folder of --data: a dart's flight made from the seed")
        return dart_events(seed=run.seed), "a dart's flight"
    return sp.readers.read_events(path), "events_dvs.npz"


def parts_of(run, events, split, train, test, time, polarity, seed):
    """Return batches to train and to test on: crops of windows, each forward (class 0) and backward (class 1)."""
    parts, moves = [], {"mirror": True, "shift": 8, "turn": run.pick(0.3, 0.2, 0.2), "boost": run.pick(0.05, 0, 0),
                        "stretch": run.pick(0.15, 0.1, 0.1)}            # a long training can use more distortion
    most = 4 if split == "amid" else 2                  # crops of a window in the small run
    for starts, options in ((train, moves), (test, {})):
        crops = events.crops(starts, LENGTH, SIDE, run.pick(4, most, 1), min_events=1000, seed=seed)
        backward = np.repeat([False, True], len(crops))
        parts.append(sp.data.EventBatches(events, np.tile(crops, (2, 1)), backward.astype(int), backward=backward,
                                     length=LENGTH, side=SIDE, pixels=PIXELS, microseconds=CELL, field=47, time=time,
                                     polarity=polarity, factors=parts[0].factors if parts else None, batch=20,
                                     **options))
    return parts


def told(run, events, split, train, test, time, polarity, seed):
    """Train a network to tell forward from backward, and test it."""
    data, tests = parts_of(run, events, split, train, test, time, polarity, seed)
    return run.classifier(f"{split} {time} {polarity} {seed}", partial(network, run, data, seed), data, tests,
                          run.pick(*EPOCHS[split]), rate=RATE, seed=seed)


def network(run, data, seed):
    return widest(lambda k: sp.models.deepcnet(4, k, data.planes, 2, d=len(data.size), first=2, rng=seed),
                  run.pick(21_000, 21_000, 5000))


def in_time(run, events, split, train, test):
    """Return [millisecond, accuracy] for every 50 ms, of the first network, which is read from its checkpoint."""
    data, tests = parts_of(run, events, split, train, test, "axis", "none", 0)
    net = network(run, data, 0)
    run.fit(f"{split}-axis-none-0", net, data, sp.Adam(net.parameters(), RATE), run.pick(*EPOCHS[split]), rng=0)
    found = sp.evaluate(net, tests)
    right, part = found.outputs.argmax(1) == found.labels, tests.crops[:, 0] // 50_000
    return [[int(50 * p + 25), float(right[part == p].mean())] for p in np.unique(part)]


def picture(events, border, shares):
    figure = plot.figure(10, 5)
    above, below = figure.subfigures(2, 1)
    starts = [*np.linspace(1000, border - LENGTH, 4), (border + events.t[-1]) // 2]
    for axes, start in zip(above.subplots(1, 5), starts, strict=True):
        window = slice(*events.between(start, start + LENGTH))
        image = np.full(events.size[::-1], np.nan)
        image[events.y[window], events.x[window]] = (events.t[window] - start) / 1000
        drawn = axes.imshow(image, cmap="viridis", vmin=0, vmax=LENGTH / 1000, interpolation="nearest")
        axes.set(title=f"from {start / 1000:.0f} ms", xticks=[], yticks=[])
    above.suptitle(f"Windows of {LENGTH / 1000:.0f} ms, by when they begin; {' x '.join(map(str, events.size))} pixels",
                   fontsize=11)
    above.colorbar(drawn, ax=above.axes, label="last event, ms")
    axes = below.subplots()
    for (split, found), colour in zip(shares.items(), ("#3b528b", "#5ec962"), strict=False):
        axes.plot(*zip(*[(ms, 100 * share) for ms, share in found], strict=True), "o-", color=colour, label=split)
    axes.axhline(50, color="0.6", linestyle=":", label="chance")
    axes.axvline(border / 1000, color="0.8", label="the last 30 % begin")
    axes.set(xlabel="time in the recording, ms", ylabel="right answers, %", ylim=(0, 103))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
