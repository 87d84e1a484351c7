"""Names, shapes and order: modules, losses, optimizers, the graph and its plan. Arithmetic stands in vivace.kernels."""
from . import backward, functional, init, optim  # backward and functional give Tensor its methods
from .activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .dtype import get_default_dtype, set_default_dtype
from .graph_module import GraphModule
from .layers import Dropout, Linear, ModuleList, Sequential
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from .module import Module
from .own import activation, loss
from .parameter import Parameter
from .random import manual_seed
from .tensor import Tensor, no_grad

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Dropout", "ELU", "GELU", "GraphModule", "Identity", "LeakyReLU", "Linear",
           "Loss", "MSELoss", "Module", "ModuleList", "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
           "Tensor", "activation", "backward", "functional", "get_default_dtype", "init", "loss", "manual_seed", "no_grad", "optim",
           "set_default_dtype"]
