"""Optional packages: imported when used; a missing one names the extra that brings it."""
import importlib

_PACKAGE = {"sklearn": "scikit-learn"}


def require(module, extra, what):
    """The imported `module`; where it is missing, ImportError such as "plotting needs matplotlib: pip install 'vivace[plot]'"."""
    root = module.partition(".")[0]
    try:
        importlib.import_module(root)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != root:
            raise  # the package is there and lacks one of its own: its message says more
        raise ImportError(f"{what} needs {_PACKAGE.get(root, root)}: pip install 'vivace[{extra}]'", name=root) from error
