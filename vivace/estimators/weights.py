"""coefs_ and intercepts_: the network's parameters under scikit-learn's names and in its layout."""
import numpy as np

KINDS = {"coefs_": "weight", "intercepts_": "bias"}


class Weights:
    """coefs_[i] (inputs, outputs) and intercepts_[i] (outputs,) of layer i are views: writing into them changes the network, and so
    does putting another array into the list, or another list into the attribute."""

    @property
    def coefs_(self):
        """Weights of each layer, (inputs, outputs)."""
        return self._weights("coefs_")

    @coefs_.setter
    def coefs_(self, value):
        self._take("coefs_", value)

    @property
    def intercepts_(self):
        """Biases of each layer, (outputs,)."""
        return self._weights("intercepts_")

    @intercepts_.setter
    def intercepts_(self, value):
        self._take("intercepts_", value)

    def _weights(self, kind):
        if "_network" not in vars(self):
            if kind in vars(self).get("_given", ()):
                return self._given[kind]
            raise AttributeError(f"{type(self).__name__} has no {kind} before fit")
        handed = vars(self).setdefault("_handed", {})
        if kind not in handed:
            views = [getattr(layer, KINDS[kind]).data.T for layer in self._network.linears]
            handed[kind] = views, list(views)
        return handed[kind][1]

    def _take(self, kind, value):
        if "_network" not in vars(self):
            vars(self).setdefault("_given", {})[kind] = value
            return
        self._weights(kind)[:] = value

    def _sync(self):
        """Write what users have put into the lists into the network."""
        for kind, (views, listed) in vars(self).get("_handed", {}).items():
            if len(listed) != len(views):
                raise ValueError(f"{kind} must have {len(views)} arrays, got {len(listed)}")
            for i, layer in enumerate(self._network.linears):
                if listed[i] is not views[i]:
                    getattr(layer, KINDS[kind]).copy_(np.asarray(listed[i]).T)
                    listed[i] = views[i]

    def _take_given(self):
        """Make the network of weights that were set before any fit."""
        given = vars(self).get("_given", {})
        coefs = [np.asarray(c) for c in given.get("coefs_", ())]
        if not coefs or len(given.get("intercepts_", ())) != len(coefs):
            raise AttributeError(f"{type(self).__name__} needs coefs_ and intercepts_ of all layers, or a fit")
        intercepts = given["intercepts_"]
        dtype = coefs[0].dtype if coefs[0].dtype == np.float32 else np.dtype(np.float64)
        self._build([coefs[0].shape[0], *(c.shape[1] for c in coefs)], dtype)
        self.coefs_, self.intercepts_ = coefs, intercepts
        self._sync()
