"""The user's own functions of a file that is loaded: the file has a name and a digest of the source, the caller has the function."""
import warnings

from .nn.optim.own import OwnOptimizer
from .nn.own import OwnActivation, OwnActivationOp, OwnLoss

_MAKERS = {OwnActivation: "nn.activation", OwnLoss: "nn.loss", OwnOptimizer: "optim.optimizer"}


class OwnFunctions:
    """given: the classes of nn.activation, nn.loss and optim.optimizer, in a list or by name. misfit: the error for what does not fit."""

    def __init__(self, given, path, misfit):
        self.path, self.misfit = path, misfit
        items = {} if given is None else given if isinstance(given, dict) else None
        listed = list(items.values()) if items is not None else list(given) if isinstance(given, (list, tuple)) else [given]
        for cls in listed:
            if not isinstance(cls, type) or not issubclass(cls, tuple(_MAKERS)):
                raise misfit(f"functions must hold what {', '.join(_MAKERS.values())} gave, got {cls!r}")
        self.given = items if items is not None else {}
        self.listed = listed if items is None else []

    def _find(self, kind, name, source):
        found = self.given.get(name) or next((c for c in self.listed if c.own.name == name and issubclass(c, kind)), None)
        if found is None or not issubclass(found, kind):
            raise self.misfit(f"its function {name} of {_MAKERS[kind]} is not in the file, which holds no code: "
                              f"give load(functions=[...]) what {_MAKERS[kind]}({name}) gave")
        if found.own.source != source:
            warnings.warn(f"{self.path}: the source of the function {name} is not the one that was saved", stacklevel=6)
        return found

    def activation(self, function, source, serial=None, **values):
        """The module of a saved activation."""
        return self._find(OwnActivation, function, source)(**values)

    def operation(self, function, source, serial=None, **values):
        """The operation of a saved graph."""
        own = self._find(OwnActivation, function, source).own
        return OwnActivationOp(own, own.values(values))

    def loss(self, function, source, serial=None, **config):
        """The saved loss."""
        return self._find(OwnLoss, function, source)(**config)

    def optimizer(self, name):
        """The class of a saved optimizer, named as in the file."""
        _, function, source = name.split("/", 2)
        return self._find(OwnOptimizer, function, source)
