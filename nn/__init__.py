"""Names, shapes and order: modules, losses, optimizers, the graph and its plan. Arithmetic stands in vivace.kernels."""
from . import backward, functional, init, optim  # backward and functional give Tensor its methods
from .activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .classification_losses import BinaryFocalLoss, FocalLoss, HingeEmbeddingLoss, HingeLoss, KLDivLoss, MultiMarginLoss
from .dtype import get_default_dtype, set_default_dtype
from .graph_module import GraphModule
from .layers import Dropout, Linear, ModuleList, Sequential
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from .module import Module
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

__all__ = ["BCELoss", "BCEWithLogitsLoss", "BinaryFocalLoss", "CrossEntropyLoss", "Dropout", "ELU", "FocalLoss", "GELU", "GammaLoss",
           "GaussianNLLLoss", "GraphModule", "HingeEmbeddingLoss", "HingeLoss", "HuberLoss", "Identity", "KLDivLoss", "L1Loss",
           "LeakyReLU", "Linear", "Loss", "MSELoss", "Module", "ModuleList", "MultiMarginLoss", "Parameter", "PoissonNLLLoss",
           "QuantileLoss", "ReLU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "Tensor", "TweedieLoss",
           "backward", "functional", "get_default_dtype", "init", "manual_seed", "no_grad", "optim", "set_default_dtype"]
