"""Names, shapes and order: modules, losses, optimizers, the graph and its plan. Arithmetic stands in vivace.kernels."""
from . import backward, functional, init, optim, utils  # backward and functional give Tensor its methods
from .activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from .buffer import Buffer
from .classification_losses import BinaryFocalLoss, FocalLoss, HingeEmbeddingLoss, HingeLoss, KLDivLoss, MultiMarginLoss
from .dtype import get_default_dtype, set_default_dtype
from .embedding import Embedding, EmbeddingBag
from .graph_module import GraphModule
from .layers import Dropout, Flatten, GaussianNoise, Linear, ModuleList, Residual, Sequential
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from .module import Module
from .normalisation import BatchNorm1d, LayerNorm, RMSNorm
from .own import activation, loss
from .parameter import Parameter
from .random import manual_seed
from .regression_losses import (
    GammaLoss,
    GaussianNLLLoss,
    HuberLoss,
    L1Loss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
    TweedieLoss,
)
from .tensor import Tensor, no_grad

__all__ = ["BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BinaryFocalLoss", "Buffer", "CELU", "CrossEntropyLoss", "Dropout", "ELU",
           "Embedding", "EmbeddingBag", "Flatten", "FocalLoss", "GELU", "GLU", "GammaLoss", "GaussianNLLLoss",
           "GaussianNoise", "GraphModule", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "HingeEmbeddingLoss",
           "HingeLoss", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid",
           "LogSoftmax", "Loss", "MSELoss", "Mish", "Module", "ModuleList", "MultiMarginLoss", "PReLU", "Parameter",
           "PoissonNLLLoss", "QuantileLoss", "RMSNorm", "RReLU", "ReLU", "ReLU6", "Residual", "SELU", "Sequential", "SiLU",
           "Sigmoid", "SmoothL1Loss", "Softmax", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
           "Tensor", "Threshold", "TweedieLoss", "activation", "backward", "functional", "get_default_dtype", "init", "loss",
           "manual_seed", "no_grad", "optim", "set_default_dtype", "utils"]
