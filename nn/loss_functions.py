"""The losses of regression_losses.py and classification_losses.py as functions, in PyTorch's names.

Row weights (N,) are `weight` of losses of real targets and `sample_weight` of losses of classes, where PyTorch's `weight` is another.
"""
from .classification_losses import HingeEmbeddingLoss, KLDivLoss, MultiMarginLoss
from .regression_losses import GaussianNLLLoss, HuberLoss, L1Loss, PoissonNLLLoss, SmoothL1Loss


def l1_loss(input, target, reduction="mean", weight=None):
    """Mean of |input - target| over all elements"""
    return L1Loss(reduction)(input, target, weight)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """A parabola with straight arms beyond delta: HuberLoss"""
    return HuberLoss(reduction, delta)(input, target, weight)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0, weight=None):
    """huber_loss(delta=beta) / beta: SmoothL1Loss"""
    return SmoothL1Loss(reduction, beta)(input, target, weight)


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean", weight=None):
    """exp(input) - target input: PoissonNLLLoss"""
    return PoissonNLLLoss(log_input, full, eps, reduction)(input, target, weight)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean", weight=None):
    """(log var + (input - target)² / var) / 2: GaussianNLLLoss"""
    return GaussianNLLLoss(full, eps, reduction)(input, target, var, weight)


def kl_div(input, target, reduction="mean", log_target=False, sample_weight=None):
    """target (log target - input): KLDivLoss"""
    return KLDivLoss(reduction, log_target)(input, target, sample_weight)


def hinge_embedding_loss(input, target, margin=1.0, reduction="mean", sample_weight=None):
    """input where target is 1, max(0, margin - input) where it is -1: HingeEmbeddingLoss"""
    return HingeEmbeddingLoss(margin, reduction)(input, target, sample_weight)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction="mean", sample_weight=None):
    """sum over i != t of max(0, margin - input[t] + input[i])^p / C, times weight[t], (C,): MultiMarginLoss"""
    return MultiMarginLoss(p, margin, weight, reduction)(input, target, sample_weight)
