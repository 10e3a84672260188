"""Errors for unknown argument names, which suggest the right name."""

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar, cast

from spconv_cy.errors import expected

# The names of this library, each with those of others: PyTorch, Keras, scikit-learn, spconv, MinkowskiEngine.
OTHER_NAMES = {
    "alpha": "negative_slope slope",
    "augment": "augmentation transform transforms",
    "samples": "batch batch_size n_samples",                             # before "batch", where a function has both
    "batch": "batch_size",
    "betas": "beta beta1 beta_1 beta2 beta_2",
    "bias": "use_bias has_bias fit_intercept",
    "cell": "cell_size grid_size quantization_size resolution voxel_size",
    "channels": "channels_in channels_out features in_channels n_channels num_channels num_features normalized_shape",
    "channels_in": "channels in_channels in_features in_planes input_channels n_in nin",
    "channels_out": "channels features filters n_out nout out_channels out_features out_planes output_channels units",
    "checkpoint": "checkpoint_path ckpt save_path",
    "classes": "n_classes nb_classes num_classes out_channels",
    "d": "dim dimension dimensions lattice ndim spatial_dims",
    "data": "batches data_loader dataloader dataset loader train_data train_loader x",
    "dilation": "dilation_rate dilations",
    "dropout": "drop_rate dropout_rate p",
    "eps": "epsilon",
    "epochs": "max_epochs max_iter n_epochs num_epochs",
    "every": "period step_size",
    "factor": "gamma",
    "features": "feats values",
    "folder": "directory path root",
    "groups": "n_groups num_groups",
    "heads": "n_heads num_heads",
    "how": "mode join",
    "ignore_label": "ignore_index",
    "kind": "interpolation mode",
    "labels": "target targets y y_true",
    "lattice": "d dim dimension dimensions ndim spatial_dims",
    "layers": "modules",
    "loss": "criterion loss_fn loss_function objective",
    "n_threads": "num_threads threads",
    "max_norm": "clip clip_norm clipnorm gradient_clip grad_clip max_grad_norm",
    "net": "estimator model module network",
    "on_epoch": "callback callbacks",
    "optimizer": "optim optimiser opt",
    "optimizers": "optimisers",
    "p": "drop_rate dropout drop_prob prob probability rate",
    "parameters": "model_parameters params weights",
    "path": "f file file_name file_path filename fname paths",
    "paths": "files path",
    "patience": "early_stopping n_iter_no_change",
    "points": "coordinates coords xyz",
    "progress": "verbose",
    "random_state": "random_seed rng seed",
    "rate": "alpha eta eta0 learning_rate learning_rate_init lr step_size",
    "reduce": "duplicates mode quantization_mode reduction",
    "reduction": "reduce size_average",
    "repeats": "n_repeats num_repeats views",
    "requires_grad": "trainable",
    "rng": "generator random_seed random_state seed",
    "schedule": "learning_rate_schedule lr_schedule lr_scheduler scheduler",
    "seed": "random_seed random_state rng",
    "shortcut": "downsample projection residual",
    "sites": "coordinates coords indices locations",
    "size": "filter_size input_size kernel kernel_size ksize pool_size shape spatial_shape spatial_size window",
    "slope": "alpha leak leakiness negative_slope",
    "stride": "pool_stride strides subsample tensor_stride",
    "temperature": "tau",
    "validation": "eval_data val_data valid validation_data validation_set",
    "verbose": "progress",
    "weight_decay": "decay l2 l2_penalty weightdecay wd",
    "weights": "class_weight class_weights weight",
    "widths": "channels hidden_layer_sizes layer_sizes sizes",
}
OURS: dict[str, list[str]] = {}
for _ours, _others in OTHER_NAMES.items():
    for _other in _others.split():
        OURS.setdefault(_other, []).append(_ours)
CLOSE = 0.75                                                             # of difflib: "padding_mode" is no "padding"

F = TypeVar("F", bound=Callable[..., object])


def known_arguments(function: F) -> F:
    """Return a function or class whose errors for unknown argument names suggest the right name.

    Args:
        function: function, or class with a constructor of its own; the class itself is returned.

    >>> @known_arguments
    ... def train(net, *, rate=0.1):
    ...     return rate
    >>> train(None, lr=1.0)
    Traceback (most recent call last):
        ...
    TypeError: train: expected the argument 'rate', got 'lr'; its arguments are net, rate
    """
    if isinstance(function, type):
        function.__init__ = known_arguments(function.__init__)           # type: ignore[misc]
        return function

    @wraps(function)
    def called(*arguments: object, **options: object) -> object:
        try:
            return function(*arguments, **options)
        except TypeError:                                                # calls with known names pay nothing
            told = _unknown(function, options)
            if told:
                raise TypeError(told) from None
            raise

    return cast(F, called)


def check_arguments(function: Callable[..., object], options: dict[str, object], who: str = "") -> None:
    """Raise TypeError if a function has no argument of a name.

    Args:
        function: that is called.
        options: the arguments that are given by name.
        who: for the error; by default the function's name, and the class's for a constructor.
    """
    told = _unknown(function, options, who)
    if told:
        raise TypeError(told)


def _unknown(function: Callable[..., object], options: dict[str, object], who: str = "") -> str:
    """Return the message of an error if a function has no argument of a name, else ""."""
    names = _names(function)
    if names is None or options.keys() <= names.keys():
        return ""
    got = next(name for name in options if name not in names)
    found = _nearest(got, list(names))
    what = f"the argument {found!r}" if found else "a known argument" if names else "no argument by name"
    who = who or function.__qualname__.removesuffix(".__init__").rpartition("<locals>.")[2]
    return expected(who, what, repr(got), f"its arguments are {', '.join(names)}" if names else "")


@lru_cache(maxsize=1024)
def _names(function: Callable[..., object]) -> dict[str, None] | None:
    """Return the names that a function accepts, in order; None if it accepts any, or nothing is known."""
    if function is object.__init__:
        return {}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return dict.fromkeys(named[1:] if named[:1] in (["self"], ["cls"]) else named)


def _nearest(name: str, names: list[str]) -> str | None:
    from difflib import get_close_matches  # it takes long, and only errors need it

    ours = [found for found in OURS.get(name.lower(), ()) if found in names]
    return next(iter([*ours, *get_close_matches(name, names, 1, CLOSE)]), None)
