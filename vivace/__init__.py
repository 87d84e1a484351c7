"""Vivace trains dense neural networks on CPUs as fast as the hardware allows.

    import vivace as vv
    from vivace import nn, optim

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), metrics=["accuracy"])
    trainer.fit(X, y, epochs=20, batch_size=32)
"""
__version__ = "0.1.0"

from . import (  # noqa: E402
           adversarial,  # noqa: E402
           attribution,
           callbacks,
           func,
           kernels,
           nn,
           optim,
)
from .batches import batches  # noqa: E402
from .config import show_config  # noqa: E402
from .diagnosis import diagnose  # noqa: E402
from .history import History  # noqa: E402
from .io import FileError, load  # noqa: E402
from .lr_find import lr_find  # noqa: E402
from .metrics import metric  # noqa: E402
from .nn import Tensor, get_default_dtype, manual_seed, no_grad, set_default_dtype  # noqa: E402
from .threads import get_num_threads, set_num_threads  # noqa: E402
from .trainer import NonFiniteError, Trainer  # noqa: E402


def __getattr__(name):
    if name in ("MLPClassifier", "MLPRegressor"):  # scikit-learn is loaded when they are used
        from . import estimators
        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["FileError", "History", "NonFiniteError", "Tensor", "Trainer", "adversarial", "attribution", "batches", "callbacks",
           "diagnose", "func", "get_default_dtype", "get_num_threads", "kernels", "load", "lr_find", "manual_seed", "metric", "nn",
           "no_grad", "optim", "set_default_dtype", "set_num_threads", "show_config"]
