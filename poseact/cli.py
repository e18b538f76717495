"""The command line: ``poseact COMMAND [FLAGS]``.

A command is one config class and one function. The class makes the flags and checks the file
given by ``--config``; a flag wins over the file, the file over the default. The functions import
what they need when they run, so that ``--help`` answers at once.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import tyro

# tyro has no public way to say in one line what is wrong; its version is pinned.
from tyro import _errors as tyro_errors

from poseact import __version__
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.rescore_config import RescoreConfig
from poseact.analysis.verify_config import VerifyConfig
from poseact.config_file import closest, read_config_file
from poseact.demo import DemoConfig
from poseact.doctor import DoctorConfig
from poseact.errors import ConfigError, PoseactError
from poseact.evaluation.action_config import EvaluateActionConfig
from poseact.evaluation.config import EvaluatePoseConfig, PredictConfig
from poseact.evaluation.detector_config import EvaluateDetectorConfig
from poseact.evaluation.label_people_config import LabelPeopleConfig
from poseact.foreign import printable
from poseact.review.export_config import ExportConfig
from poseact.training.action_config import TrainActionConfig
from poseact.training.config import TrainPoseConfig
from poseact.training.detector_config import TrainDetectorConfig

ConfigT = TypeVar("ConfigT")

EXIT_INTERRUPTED = 130
"""What shells return for a program ended by Ctrl-C."""


def _demo(config: DemoConfig) -> int:
    from poseact.demo import run_demo

    return run_demo(config)


def _doctor(config: DoctorConfig) -> int:
    from poseact.doctor import run_doctor

    return run_doctor(config)


def _train_pose(config: TrainPoseConfig) -> int:
    from poseact.training.pose import train_pose

    return train_pose(config)


def _train_detector(config: TrainDetectorConfig) -> int:
    from poseact.training.detector import train_detector

    return train_detector(config)


def _train_action(config: TrainActionConfig) -> int:
    from poseact.training.action import train_action

    return train_action(config)


def _evaluate_pose(config: EvaluatePoseConfig) -> int:
    from poseact.evaluation.pose import evaluate_pose

    return evaluate_pose(config)


def _evaluate_detector(config: EvaluateDetectorConfig) -> int:
    from poseact.evaluation.detector import evaluate_detector

    return evaluate_detector(config)


def _label_people(config: LabelPeopleConfig) -> int:
    from poseact.evaluation.label_people import label_people

    return label_people(config)


def _evaluate_action(config: EvaluateActionConfig) -> int:
    from poseact.evaluation.action import evaluate_action

    return evaluate_action(config)


def _predict(config: PredictConfig) -> int:
    from poseact.predict import predict

    return predict(config)


def _analyze(config: AnalyzeConfig) -> int:
    from poseact.analysis.job import analyze

    return analyze(config)


def _rescore(config: RescoreConfig) -> int:
    from poseact.analysis.rescore import rescore

    return rescore(config)


def _verify(config: VerifyConfig) -> int:
    from poseact.analysis.verify import verify

    return verify(config)


def _export(config: ExportConfig) -> int:
    from poseact.review.export import export

    return export(config)


@dataclasses.dataclass(frozen=True)
class Command(Generic[ConfigT]):
    """What ``poseact NAME`` needs: settings, and a function that returns the exit code."""

    config: type[ConfigT]
    run: Callable[[ConfigT], int]


COMMANDS: dict[str, Command[Any]] = {
    "demo": Command(DemoConfig, _demo),
    "doctor": Command(DoctorConfig, _doctor),
    "train-pose": Command(TrainPoseConfig, _train_pose),
    "train-detector": Command(TrainDetectorConfig, _train_detector),
    "train-action": Command(TrainActionConfig, _train_action),
    "evaluate-pose": Command(EvaluatePoseConfig, _evaluate_pose),
    "evaluate-detector": Command(EvaluateDetectorConfig, _evaluate_detector),
    "label-people": Command(LabelPeopleConfig, _label_people),
    "evaluate-action": Command(EvaluateActionConfig, _evaluate_action),
    "predict": Command(PredictConfig, _predict),
    "analyze": Command(AnalyzeConfig, _analyze),
    "rescore": Command(RescoreConfig, _rescore),
    "verify": Command(VerifyConfig, _verify),
    "export": Command(ExportConfig, _export),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Command and flags; those of the process if None.

    Returns:
        The exit code; a wrong setting or unusable input prints one line to standard error.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(args)
    except PoseactError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help"]:
            print(_help())
            return 0
        case ["--version"]:
            print(f"poseact {__version__}")
            return 0
        case [name, *flags] if name in COMMANDS:
            command = COMMANDS[name]
            return command.run(parse(command.config, flags, f"poseact {name}"))
    raise ConfigError(
        f"unknown command {args[0]}{closest(args[0], COMMANDS)} `poseact --help` lists them."
    )


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        f"  {name:{width}}  {(command.config.__doc__ or '').partition(chr(10))[0]}"
        for name, command in COMMANDS.items()
    ]
    return "\n".join(
        [
            "usage: poseact COMMAND [FLAGS]",
            "",
            *lines,
            "",
            "poseact COMMAND --help lists its flags.",
        ]
    )


def parse(config_class: type[ConfigT], args: Sequence[str], prog: str) -> ConfigT:
    """Make the settings of one command from its flags and its ``--config`` file.

    Args:
        config_class: Frozen dataclass of the settings, which checks itself.
        args: Flags as typed.
        prog: Command as typed, for messages.

    Returns:
        The settings: flag before file before default.

    Raises:
        ConfigError: If a flag, a key of the file or a value is wrong.
        SystemExit: After ``--help``.
    """
    file, flags = _take_config_flag(args)
    given = {} if file is None else read_config_file(file, config_class)
    # The file alone may be incomplete or wrong where a flag overrides it: check the sum only.
    unchecked = _without_checks(config_class)
    start = {field.name: tyro.MISSING for field in _required(config_class)} | given

    def refuse(event: tyro_errors.ParseErrorEvent) -> None:
        raise ConfigError(f"{_explain(event, config_class)} `{prog} --help` lists the flags.")

    with tyro_errors.on_parse_error(refuse):
        parsed = tyro.cli(
            unchecked,
            prog=prog,
            args=flags,
            default=unchecked(**start),
            description=f"{config_class.__doc__}\n\n"
            "--config FILE.yaml sets any of these by name; a flag wins over the file.",
        )
    return config_class(
        **{field.name: getattr(parsed, field.name) for field in dataclasses.fields(unchecked)}
    )


def _take_config_flag(args: Sequence[str]) -> tuple[Path | None, list[str]]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", type=Path)
    try:
        known, flags = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise ConfigError("--config needs the name of a YAML file.") from error
    return known.config, flags


def _without_checks(config_class: type[ConfigT]) -> type[Any]:
    body = {
        "__doc__": config_class.__doc__,
        "__module__": config_class.__module__,
        "__post_init__": lambda _: None,
    }
    subclass = type(config_class.__name__, (config_class,), body)
    return dataclasses.dataclass(frozen=True, kw_only=True)(subclass)


def _required(config_class: type) -> list[dataclasses.Field[Any]]:
    return [
        field
        for field in dataclasses.fields(config_class)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]


def _explain(event: tyro_errors.ParseErrorEvent, config_class: type) -> str:
    match event:
        case (
            tyro_errors.UnrecognizedArgs(tokens=[token, *_])
            | tyro_errors.MissingArgs(unrecognized_tokens=[token, *_])
        ):
            wrong = _unknown(token, config_class)
        case tyro_errors.MissingArgs(missing_arguments=missing):
            wrong = f"{' and '.join(item.arg.display_name() for item in missing)} must be given."
        case tyro_errors.InvalidChoice(argument=flag, value=value, choices=choices):
            wrong = f"{flag.display_name()} must be one of {', '.join(choices)}, got {value}."
        case tyro_errors.BadValue(argument=flag):
            wrong = f"{flag.display_name()} needs a value ({flag.lowered.metavar})."
        case tyro_errors.InstantiationFailure(argument=flag, message=message) if flag:
            reason = message.splitlines()[0].rstrip(".")
            wrong = f"{flag.display_name()}: {reason}."
        case _:
            wrong = f"the flags cannot be understood ({type(event).__name__})."
    return wrong


def _unknown(token: str, config_class: type) -> str:
    kind = "flag" if token.startswith("-") else "argument"
    return f"unknown {kind} {token}{closest(token.partition('=')[0], _flags(config_class))}"


def _flags(config_class: type, prefix: str = "--") -> Iterator[str]:
    for field in dataclasses.fields(config_class):
        name = f"{prefix}{field.name.replace('_', '-')}"
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield from _flags(field.type, f"{name}.")
        else:
            yield name


if __name__ == "__main__":
    sys.exit(main())
