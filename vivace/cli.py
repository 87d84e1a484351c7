"""The command line: vivace train, predict, bench, info.

Bad input is one line on standard error and exit status 2; Ctrl-C one line and 130.
"""
import sys

from . import cli_predict, cli_train, kernels
from .cli_options import Parser, Refused, positive


def main(argv=None):
    """Run the command line `argv` (default: that of the process); returns the exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that a terminal cannot show is no reason to lose a training
    try:
        args = _parser().parse_args(argv)
        if not args.version:
            kernels.get()  # a VIVACE_BACKEND or VIVACE_ISA that cannot load is said before any work
        return args.run(args) or 0
    except SystemExit as done:  # --help, --version
        return done.code or 0
    except KeyboardInterrupt:
        print("vivace: interrupted, nothing was saved", file=sys.stderr)
        return 130
    except (Refused, ValueError, ImportError, ArithmeticError, OSError, MemoryError) as error:
        named = isinstance(error, OSError) and error.filename is not None and error.strerror
        message = f"{error.filename}: {error.strerror}" if named else " ".join(str(error).split())
        print(f"vivace: {message or type(error).__name__}", file=sys.stderr)
        return 2


def _parser():
    parser = Parser(prog="vivace", description="Train dense networks on this machine's CPU.")
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.set_defaults(run=lambda args: _version(args, parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    cli_train.add_to(commands)
    cli_predict.add_to(commands)
    bench = commands.add_parser("bench", help="time a training step of every backend beside NumPy, results verified first")
    bench.add_argument("--seconds", type=positive(float), default=20.0, help="time to spend on measuring (default 20)")
    bench.set_defaults(run=_bench)
    info = commands.add_parser("info", help="print backend, instruction set, threads and versions")
    info.set_defaults(run=_info)
    return parser


def _version(args, parser):
    if not args.version:
        parser.print_help()
        return 0
    import vivace
    print(f"vivace {vivace.__version__}")


def _info(args):
    import vivace
    vivace.show_config()


def _bench(args):
    from .benchmarks import step
    return step.main(["--seconds", str(args.seconds)])
