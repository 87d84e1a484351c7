"""One class per library, all with the same few methods: the same network, trained by Adam on the same rows, as its users would write it.

    Library(workload, threads)      built from workload.weights()
    load(X, y)                      the rows to train on
    train(orders) -> losses         one epoch per row of orders (E, rows): its mean loss, each batch's taken before its update
    weights()                       [(w (O, I), b (O,)), ...]
    predict(X)                      raw outputs, an array (N, outputs)

A class says what it lacks with Unsupported. Nothing of a library is imported before its class is made.
"""
import importlib.util
import itertools

import numpy as np

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
"""Adam as all libraries have it by default: p -= lr m' / (sqrt(v') + eps) of the corrected states m', v'. Those with `outer_eps` use the
other form of the paper, p -= lr' m / (sqrt(v) + eps) with the corrections in lr'; where gradients are small it is another method."""


class Unsupported(Exception):
    """The library has no such network."""


class Library:
    title, package, threads, outer_eps = "", "", (1, 2), False

    def __init__(self, workload, threads):
        self.workload, self.threads = workload, threads
        self.build(workload, workload.weights())

    @classmethod
    def installed(cls):
        return importlib.util.find_spec(cls.package) is not None

    def load(self, X, y):
        self.X, self.y = X, y

    def batches(self, order):
        """What selects the rows of each batch: indices, or slices where rows keep their places."""
        step, rows = self.workload.batch, len(order)
        if not self.workload.shuffled:
            return [slice(at, at + step) for at in range(0, rows, step)]
        return [order[at:at + step] for at in range(0, rows, step)]


class Vivace(Library):
    title, package, threads = "Vivace", "numpy", (None, 1, 2)

    def build(self, workload, weights, backend=None):
        from .. import nn, optim
        from ..trainer import Trainer
        from .workloads import SEED
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[workload.activation]
        layers = [layer for i, o in itertools.pairwise(workload.sizes) for layer in (nn.Linear(i, o, dtype=workload.dtype), act())][:-1]
        self.model = nn.Sequential(*layers)
        self.model.load_state_dict({f"{2 * at}.{name}": value for at, pair in enumerate(weights)
                                    for name, value in zip(("weight", "bias"), pair)})
        loss = nn.MSELoss() if workload.loss == "mse" else nn.CrossEntropyLoss()
        self.trainer = Trainer(self.model, loss, optim.Adam(self.model.parameters(), lr=LR), seed=SEED, backend=backend,
                               num_threads=self.threads)

    def train(self, orders):
        """The Trainer makes the same orders itself, inside the time that counts."""
        before = len(self.trainer.history)
        self.trainer.fit(self.X, self.y, epochs=len(orders), batch_size=self.workload.batch, shuffle=self.workload.shuffled, verbose=0)
        return self.trainer.history["loss"][before:]

    def weights(self):
        values = [np.array(value) for value in self.model.state_dict().values()]
        return list(zip(values[::2], values[1::2]))

    def predict(self, X):
        return self.trainer.predict(X)


class NumPy(Library):
    title, package = "NumPy", "numpy"

    def build(self, workload, weights, dtype=None):
        from .numpy_mlp import NumpyMLP
        self.net = NumpyMLP(workload.sizes, workload.activation, workload.loss, lr=LR, betas=(BETA1, BETA2), eps=EPS,
                            dtype=dtype or workload.dtype, weights=weights)

    def train(self, orders):
        return [self.net.fit_epoch(self.X, self.y, self.workload.batch, order) for order in orders]

    def weights(self):
        return self.net.weights()

    def predict(self, X):
        """NumpyMLP trains only; this is its forward pass in as few operations."""
        last = len(self.net.w) - 1
        for layer, (w, b) in enumerate(zip(self.net.w, self.net.b)):
            X = np.dot(X, w)
            X += b
            if layer < last:
                np.maximum(X, 0, out=X) if self.workload.activation == "relu" else np.tanh(X, out=X)
        return X


class ScikitLearn(Library):
    title, package, outer_eps = "scikit-learn", "sklearn", True

    def build(self, workload, weights):
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        self.classes = workload.kind == "train" and workload.loss == "cross_entropy"
        self.two = self.classes and workload.sizes[-1] == 2

        class Given(MLPClassifier if self.classes else MLPRegressor):
            """Starts from our weights; two classes have two outputs and a softmax as elsewhere, not one and a sigmoid."""
            start = iter([(w.T.copy(), b.copy()) for w, b in weights])

            def _init_coef(self, fan_in, fan_out, dtype):
                return next(self.start)

            def _initialize(self, y, layer_units, dtype):
                super()._initialize(y, layer_units, dtype)
                if self.out_activation_ == "logistic":
                    self.out_activation_ = "softmax"

        self.net = Given(hidden_layer_sizes=workload.sizes[1:-1], activation=workload.activation, solver="adam", alpha=0.0,
                         batch_size=workload.batch, learning_rate_init=LR, beta_1=BETA1, beta_2=BETA2, epsilon=EPS,
                         shuffle=False)
        if workload.kind == "predict":  # weights come with a first fit; its update is taken back
            self.net.partial_fit(np.zeros((workload.batch, workload.sizes[0]), workload.dtype),
                                 np.zeros((workload.batch, workload.sizes[-1]), workload.dtype))
            self.net.coefs_, self.net.intercepts_ = [w.T.copy() for w, _ in weights], [b.copy() for _, b in weights]

    def load(self, X, y):
        self.X, self.y = X, np.eye(2, dtype=np.int64)[y] if self.two else y

    def train(self, orders):
        """partial_fit is an epoch. Its squared error is halved."""
        losses, half = [], 1 if self.classes else 2
        for order in orders:
            X, y = (self.X[order], self.y[order]) if self.workload.shuffled else (self.X, self.y)
            if self.classes:
                self.net.partial_fit(X, y, classes=np.arange(self.workload.sizes[-1]))
            else:
                self.net.partial_fit(X, y)
            losses.append(half * self.net.loss_)
        return losses

    def weights(self):
        return [(w.T.copy(), b.copy()) for w, b in zip(self.net.coefs_, self.net.intercepts_)]

    def predict(self, X):
        return self.net.predict(X)


class Thinc(Library):
    """With one thread its own products (BLIS, which has one thread here), with more those of NumPy's BLAS."""

    title, package, outer_eps = "thinc", "thinc", True

    def build(self, workload, weights):
        from thinc.api import Adam, Linear, Model, NumpyOps, chain, set_current_ops
        if workload.dtype != "float32":
            raise Unsupported("float32 only")
        self.ops = NumpyOps(use_blis=self.threads == 1)
        set_current_ops(self.ops)

        def activation(model, X, is_train):
            Y = self.ops.relu(X) if workload.activation == "relu" else np.tanh(X)
            if workload.activation == "relu":
                return Y, lambda dY: self.ops.backprop_relu(dY, Y)
            return Y, lambda dY: dY * (1 - Y * Y)

        layers = []
        for i, o in itertools.pairwise(workload.sizes):
            layers += [Linear(o, i), Model(workload.activation, activation)]
        self.linears, self.net = layers[::2], chain(*layers[:-1])
        self.net.initialize()
        for layer, (w, b) in zip(self.linears, weights):
            layer.set_param("W", w.copy())
            layer.set_param("b", b.copy())
        self.optimizer = Adam(LR, L2=0.0, beta1=BETA1, beta2=BETA2, eps=EPS, grad_clip=0.0, use_averages=False)

    def train(self, orders):
        return [self.epoch(order) for order in orders]

    def epoch(self, order):
        total, row = 0.0, np.arange(self.workload.batch)
        for rows in self.batches(order):
            y = self.y[rows]
            z, backprop = self.net.begin_update(self.X[rows])
            if self.workload.loss == "mse":
                d = z - y
                total += float((d * d).mean())
                d *= 2 / d.size
            else:
                d = self.ops.softmax(z)
                total -= float(np.log(d[row, y]).mean())
                d[row, y] -= 1
                d *= np.float32(1 / len(y))
            backprop(d)
            self.net.finish_update(self.optimizer)
        return total * self.workload.batch / len(order)

    def weights(self):
        return [(layer.get_param("W").copy(), layer.get_param("b").copy()) for layer in self.linears]

    def predict(self, X):
        return self.net.predict(X)


class PyTorch(Library):
    """Eager, with the fused Adam."""

    title, package, compiled = "PyTorch", "torch", False

    def build(self, workload, weights):
        import torch
        self.torch = torch
        torch.set_num_threads(self.threads)
        if self.compiled and workload.group != "training":
            raise Unsupported("compiled for the first table only: compiling takes a quarter of a minute each time")
        act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[workload.activation]
        layers = [layer for i, o in itertools.pairwise(workload.sizes)
                  for layer in (torch.nn.Linear(i, o, dtype=getattr(torch, workload.dtype)), act())][:-1]
        self.model = torch.nn.Sequential(*layers)
        with torch.no_grad():
            for layer, (w, b) in zip(layers[::2], weights):
                layer.weight.copy_(torch.from_numpy(w))
                layer.bias.copy_(torch.from_numpy(b))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR, betas=(BETA1, BETA2), eps=EPS, fused=True)
        criterion = torch.nn.MSELoss() if workload.loss == "mse" else torch.nn.CrossEntropyLoss()

        def objective(X, y):
            return criterion(self.model(X), y)
        self.objective = torch.compile(objective) if self.compiled else objective

    def load(self, X, y):
        self.X, self.y = self.torch.from_numpy(X), self.torch.from_numpy(y)

    def train(self, orders):
        return [self.epoch(order) for order in self.torch.from_numpy(orders)]

    def epoch(self, order):
        losses, shuffled = [], self.workload.shuffled
        for rows in self.batches(order):
            X, y = (self.X.index_select(0, rows), self.y.index_select(0, rows)) if shuffled else (self.X[rows], self.y[rows])
            self.optimizer.zero_grad()
            loss = self.objective(X, y)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return float(self.torch.stack(losses).mean())

    def weights(self):
        values = [p.detach().numpy().copy() for p in self.model.parameters()]
        return list(zip(values[::2], values[1::2]))

    def predict(self, X):
        with self.torch.inference_mode():
            return self.model(self.torch.from_numpy(X)).numpy()


class TorchCompile(PyTorch):
    """The model and its loss compiled; the fused Adam as it is."""

    title, compiled = "torch.compile", True


class JAX(Library):
    """Many epochs in one call: a jitted scan over batches that gathers its rows itself; state is donated."""

    title, package = "JAX", "jax"

    def build(self, workload, weights):
        import jax
        import jax.numpy as jnp
        self.jax, self.jnp = jax, jnp
        jax.config.update("jax_enable_x64", workload.dtype == "float64")
        params = [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in weights]
        zeros = jax.tree.map(jnp.zeros_like, params)
        self.state = (params, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), workload.dtype))
        activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.activation]

        def forward(params, x):
            for w, b in params[:-1]:
                x = activation(x @ w + b)
            return x @ params[-1][0] + params[-1][1]

        def objective(params, x, y):
            z = forward(params, x)
            if workload.loss == "mse":
                return jnp.mean((z - y) ** 2)
            return jnp.mean(jax.nn.logsumexp(z, 1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])

        def step(state, x, y):
            params, m, v, t = state
            loss, g = jax.value_and_grad(objective)(params, x, y)
            t, tree = t + 1, jax.tree.map
            m = tree(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
            v = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
            rate, root = LR / (1 - BETA1**t), jnp.sqrt(1 - BETA2**t)
            params = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPS), params, m, v)
            return (params, m, v, t), loss

        def run(state, X, y, orders):
            def one(state, rows):
                take = (lambda a: a.at[rows].get(mode="promise_in_bounds")) if workload.shuffled else (lambda a: a)
                return step(state, take(X), take(y))
            return jax.lax.scan(one, state, orders)
        self.run, self.forward = jax.jit(run, donate_argnums=0), jax.jit(forward)

    def load(self, X, y):
        self.X, self.y = self.jnp.asarray(X), self.jnp.asarray(y.astype(np.int32) if self.workload.loss != "mse" else y)

    def train(self, orders):
        batches = orders.astype(np.int32).reshape(-1, self.workload.batch if self.workload.shuffled else orders.shape[1])
        if not self.workload.shuffled:
            batches = batches[:, :1]  # the scan needs their number alone
        self.state, losses = self.run(self.state, self.X, self.y, batches)
        return [float(x) for x in np.asarray(losses).reshape(len(orders), -1).mean(1)]

    def weights(self):
        return [(np.asarray(w).T.copy(), np.asarray(b).copy()) for w, b in self.state[0]]

    def predict(self, X):
        return np.asarray(self.forward(self.state[0], X))


LIBRARIES = {"vivace": Vivace, "numpy": NumPy, "sklearn": ScikitLearn, "thinc": Thinc, "torch": PyTorch, "compile": TorchCompile,
             "jax": JAX}
