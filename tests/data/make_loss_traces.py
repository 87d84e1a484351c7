"""Writes the PyTorch results that tests/nn/test_loss_families.py compares with: loss_traces.json, beside this file.

Run with torch installed: python tests/data/make_loss_traces.py. All numbers are float64; inputs stand beside results.
"""
import json
import pathlib

import numpy as np
import torch

F = torch.nn.functional


def plain(value):
    """JSON-able data; floats keep all their bits."""
    if isinstance(value, torch.Tensor):
        return value.detach().tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def pinball(y, t, quantile, reduction):
    d, q = t - y, torch.tensor(quantile, dtype=torch.float64)
    return getattr(torch.maximum(q * d, (q - 1) * d), reduction)()


def gamma(y, t, reduction, log_input=True):
    return getattr(y + t * torch.exp(-y) if log_input else torch.log(y) + t / y, reduction)()


def tweedie(y, t, power, reduction):
    return getattr(torch.exp((2 - power) * y) / (2 - power) - t * torch.exp((1 - power) * y) / (1 - power), reduction)()


def gaussian(y, t, reduction, full=False, log_variance=False):
    m, v = y.chunk(2, dim=1)
    return F.gaussian_nll_loss(m, t, torch.exp(v) if log_variance else v, full=full, reduction=reduction)


def hinge(y, t, reduction, squared=False):
    h = torch.clamp(1 - t * y, min=0)
    return getattr(h * h if squared else h, reduction)()


def focal(z, t, gamma, reduction):
    log_p = F.log_softmax(z, 1)[torch.arange(len(t)), t]
    return getattr(-(1 - log_p.exp()) ** gamma * log_p, reduction)()


def sigmoid_focal(z, t, gamma, alpha, reduction):
    """torchvision.ops.sigmoid_focal_loss, written out."""
    p, b = torch.sigmoid(z), F.binary_cross_entropy_with_logits(z, t, reduction="none")
    loss = b * (1 - (p * t + (1 - p) * (1 - t))) ** gamma
    return getattr(loss if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * loss, reduction)()


def traces():
    """[{loss, options, input, target, value, grad}]"""
    rng = np.random.default_rng(0)
    z, real, labels = rng.normal(size=(6, 4)) * 2, rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    rate, counts, amounts = rng.uniform(0.2, 4, (6, 4)), rng.integers(0, 6, (6, 4)).astype(float), rng.uniform(0.1, 5, (6, 4))
    weight, share = rng.uniform(0.2, 2, 4), rng.uniform(0, 1, (6, 4))
    signs, hard = rng.choice([-1.0, 1.0], (6, 4)), rng.integers(0, 2, (6, 4)).astype(float)
    variances = np.concatenate([real, rng.uniform(0.1, 2, (6, 4))], axis=1)
    distribution = share / share.sum(axis=1, keepdims=True)
    log_p = np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    some = np.where(np.arange(6) % 3 == 1, -100, labels)
    cases = []

    def add(name, options, x, target, function, **others):
        leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = function(leaf, torch.tensor(target), **others)
        value.backward()
        cases.append({"loss": name, "options": options, "input": x, "target": target, "value": value, "grad": leaf.grad})

    def same(name, x, target, function, **options):
        """The options are those of PyTorch's function."""
        add(name, options, x, target, function, **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()})

    for reduction in ("mean", "sum"):
        r = {"reduction": reduction}
        same("L1Loss", z, real, F.l1_loss, **r)
        same("HuberLoss", z, real, F.huber_loss, **r)
        same("HuberLoss", z, real, F.huber_loss, delta=0.3, **r)
        same("SmoothL1Loss", z, real, F.smooth_l1_loss, **r)
        same("SmoothL1Loss", z, real, F.smooth_l1_loss, beta=0.4, **r)
        same("SmoothL1Loss", z, real, F.smooth_l1_loss, beta=0.0, **r)
        same("QuantileLoss", z, real, pinball, quantile=0.9, **r)
        same("QuantileLoss", z, real, pinball, quantile=[0.1, 0.5, 0.75, 0.9], **r)
        same("PoissonNLLLoss", z, counts, F.poisson_nll_loss, **r)
        same("PoissonNLLLoss", z, counts, F.poisson_nll_loss, full=True, **r)
        same("PoissonNLLLoss", rate, counts, F.poisson_nll_loss, log_input=False, **r)
        same("PoissonNLLLoss", rate, counts, F.poisson_nll_loss, log_input=False, full=True, eps=0.01, **r)
        same("GammaLoss", z, amounts, gamma, **r)
        same("GammaLoss", rate, amounts, gamma, log_input=False, **r)
        for power in (0.0, 1.3, 1.7, 3.0):
            same("TweedieLoss", z, amounts, tweedie, power=power, **r)
        add("TweedieLoss", {"power": 1.0, **r}, z, counts, F.poisson_nll_loss, **r)
        add("TweedieLoss", {"power": 2.0, **r}, z, amounts, gamma, **r)
        same("GaussianNLLLoss", variances, z, gaussian, **r)
        same("GaussianNLLLoss", variances, z, gaussian, full=True, **r)
        same("GaussianNLLLoss", np.concatenate([real, z], axis=1), share, gaussian, log_variance=True, **r)
        same("HingeLoss", z, signs, hinge, **r)
        same("HingeLoss", z, signs, hinge, squared=True, **r)
        same("HingeEmbeddingLoss", z, signs, F.hinge_embedding_loss, **r)
        same("HingeEmbeddingLoss", z, signs, F.hinge_embedding_loss, margin=0.4, **r)
        same("MultiMarginLoss", z, labels, F.multi_margin_loss, **r)
        same("MultiMarginLoss", z, labels, F.multi_margin_loss, p=2, margin=0.7, **r)
        same("MultiMarginLoss", z, labels, F.multi_margin_loss, weight=weight, **r)
        for power in (0.0, 0.5, 1.0, 2.0, 3.7):
            same("FocalLoss", z, labels, focal, gamma=power, **r)
            same("BinaryFocalLoss", z, hard, sigmoid_focal, gamma=power, alpha=0.25, **r)
        same("BinaryFocalLoss", z, share, sigmoid_focal, gamma=2.0, alpha=None, **r)
        same("BCEWithLogitsLoss", z, share, F.binary_cross_entropy_with_logits, pos_weight=weight, **r)
        same("CrossEntropyLoss", z, some, F.cross_entropy, **r)
        same("CrossEntropyLoss", z, some, F.cross_entropy, weight=weight, **r)
        same("CrossEntropyLoss", z, labels, F.cross_entropy, ignore_index=2, **r)
        same("CrossEntropyLoss", z, some, F.cross_entropy, label_smoothing=0.1, **r)
    for reduction in ("mean", "batchmean", "sum"):
        same("KLDivLoss", log_p, distribution, F.kl_div, reduction=reduction)
        same("KLDivLoss", log_p, np.log(distribution), F.kl_div, reduction=reduction, log_target=True)
    return {"torch": torch.__version__, "cases": plain(cases)}


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("loss_traces.json").write_text(json.dumps(traces()) + "\n")
