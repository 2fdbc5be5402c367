"""``edge-matting``: what may be typed, and which module does it."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from edge_matting import __version__
from edge_matting.cli.output import OutputLost, flush
from edge_matting.core import logs
from edge_matting.core.errors import ConfigError, EdgeMattingError, StartError

log = logging.getLogger(__name__)

BAD_INPUT = 2
FAULT = 1
CLOSED_PIPE = 141

NOT_OURS: Final = "run this as the user whose file it is, or give this user the right"
ADVICE: Final = MappingProxyType(
    {
        errno.EACCES: NOT_OURS,
        errno.EPERM: NOT_OURS,
        errno.EROFS: "the disk is read-only: name another place",
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "this user's share of the disk is used up",
        errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    }
)
"""What to do where the operating system refuses a file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0: well, 1: not all well, 2: bad arguments or config."""
    closed = _closed_streams()
    if closed:
        _say(f"{' and '.join(closed)} is closed: name a file, or /dev/null if nobody reads it")
        return BAD_INPUT
    options = _parser().parse_args(arguments)
    logs.configure(verbose=options.verbose)
    command: Callable[[argparse.Namespace], int] = importlib.import_module(
        f"edge_matting.cli.{options.module}"
    ).run
    try:
        status = command(options)
        flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`); nothing is left to say it to.
        _drop_output()
        return CLOSED_PIPE
    except (EdgeMattingError, OSError) as error:
        return _explained(error)
    else:
        return status
    finally:
        logging.shutdown()


def _explained(error: EdgeMattingError | OSError) -> int:
    """Say what went wrong, in a sentence; the exit status that belongs to it."""
    if isinstance(error, ConfigError):
        for fault in error.faults:
            _say(fault)
        return BAD_INPUT
    if isinstance(error, OSError):
        if error.filename is None:  # about no file that anybody could put right
            raise error
        log.debug("where it came from:", exc_info=error)
        advice = ADVICE.get(error.errno or 0)
        hint = "" if advice is None else f" ({advice})"
        _say(f"{logs.shown(error.filename)}: {error.strerror}{hint}")
        return BAD_INPUT
    _say(str(error))
    if isinstance(error, OutputLost):
        _drop_output()
    return BAD_INPUT if isinstance(error, StartError) else FAULT


def _drop_output() -> None:
    """Let nothing of what is still to be written fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _closed_streams() -> list[str]:
    """Standard streams that whoever started this has closed.

    The next file opened would take the number of one and be written to as if it were it.
    """
    closed = []
    for number, name in enumerate(("standard input", "standard output", "standard error")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            closed.append(name)
    return [name for name in closed if name != "standard input"]  # nothing is read from it


def _say(text: str) -> None:
    line = f"edge-matting: {text}".encode("utf-8", "backslashreplace").decode()
    # With standard error closed the sentence goes where it can be seen.
    print(line, file=sys.stderr or sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-matting", description="Offline image matting: photos in, clean cut-outs out."
    )
    parser.add_argument("--version", action="version", version=f"edge-matting {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more in the log")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_process(commands)
    _add_models(commands)
    _add_device_commands(commands)
    _add_remote_commands(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def _command(
    commands: Commands, name: str, module: str, summary: str, *, config: bool = True
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(module=module)
    if config:
        parser.add_argument("-c", "--config", type=Path, help="the YAML configuration to read")
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_run(commands: Commands) -> None:
    _command(commands, "run", "run", "run the appliance in the foreground until SIGTERM or Ctrl-C")
    _command(commands, "check-config", "check_config", "read the configuration, name every fault")


def _add_process(commands: Commands) -> None:
    parser = _command(
        commands,
        "process",
        "process",
        "do files and folders once; run again after an interruption it does what is missing",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="photos and folders")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="results")
    parser.add_argument("--recipe", metavar="NAME", help="a recipe of the configuration")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a configuration key, e.g. recipes.cutout.refinement=none",
    )
    parser.add_argument("--model", metavar="ID", help="a model of the catalog")
    parser.add_argument(
        "--format",
        choices=["png", "webp", "jpg", "tiff", "avif"],
        help="format of the first output; jpg gives a composite over the recipe's background",
    )
    parser.add_argument("--no-cache", action="store_true", help="make every result anew")
    _json(parser)


def _add_models(commands: Commands) -> None:
    parser = _command(commands, "models", "models", "the catalog of models")
    # -c may stand before the action or behind it; the one behind must not undo the one before.
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("-c", "--config", type=Path, default=argparse.SUPPRESS)
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, parents=[config])

    action("list", "the models at hand")
    action("show", "one model's manifest").add_argument("id")
    add = action("add", "add an ONNX or a torch file after trying it on built-in photos")
    add.add_argument("file", type=Path)
    add.add_argument("--id", help="name in the catalog (default: from the file's name)")
    add.add_argument(
        "--preset",
        metavar="NAME",
        help="normalisation (unit, half, imagenet, centred, raw, caffe) or family (modnet, u2net, "
        "isnet, birefnet, rvm, selfie, rgba, two-class); default: found out by trying",
    )
    add.add_argument("--output", metavar="NAME", help="the output that holds the matte")
    add.add_argument(
        "--size", type=_size, metavar="WxH", help="where any will do, the one to run at"
    )
    add.add_argument(
        "--mean",
        type=_triple,
        metavar="R,G,B",
        help="mean of its normalisation, of pixels from 0 to 1 or, if above 1, from 0 to 255",
    )
    add.add_argument("--std", type=_triple, metavar="R,G,B", help="its standard deviation")
    add.add_argument("--channels", choices=["rgb", "bgr"], help="the order of its colours")
    add.add_argument(
        "--seconds", type=_positive, default=120.0, help="the most for one picture (default: 120)"
    )
    add.add_argument(
        "--memory-mb", type=_positive, metavar="MB", help="the most memory it may take when tried"
    )
    verify = action("verify", "compare files with their manifests")
    verify.add_argument("id", nargs="?")
    action("remove", "delete an added model").add_argument("id")


def _triple(text: str) -> tuple[float, float, float]:
    numbers = [float(part) for part in text.split(",")]
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError("expected three numbers, such as 0.485,0.456,0.406")
    return numbers[0], numbers[1], numbers[2]


def _positive(text: str) -> float:
    number = float(text)
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError("expected a number greater than 0")
    return number


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError("expected width and height in pixels, such as 512x512")
    return int(width), int(height)


def _add_device_commands(commands: Commands) -> None:
    profile = _command(commands, "profile", "profile", "the device as found, the plan, and why")
    profile.add_argument(
        "--measure", action="store_true", help="time the ways to run the model anew, then plan"
    )
    _json(profile)
    doctor = _command(commands, "doctor", "doctor", "check all that a start needs, one line each")
    doctor.add_argument(
        "--bundle", type=Path, metavar="FILE", help="also pack log, settings, device into a .tar.gz"
    )
    bench = _command(commands, "bench", "bench", "latency and throughput of this machine")
    bench.add_argument("--photos", type=int, default=20, help="photos per measurement")
    _json(bench)


def _add_remote_commands(commands: Commands) -> None:
    status = _command(commands, "status", "status", "state of the running appliance")
    status.add_argument("--url", help="address of its page (default: from the configuration)")
    _json(status)
    retry = _command(commands, "retry", "retry", "put failed or reviewed jobs back in the queue")
    retry.add_argument("jobs", nargs="*", type=int, metavar="JOB")
    retry.add_argument("--failed", action="store_true", help="all failed jobs")
    retry.add_argument("--model", metavar="ID", help="use this model")
    retry.add_argument("--url", help="address of its page (default: from the configuration)")
