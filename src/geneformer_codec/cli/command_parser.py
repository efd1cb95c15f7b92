"""Parsing of arguments, and messages about invalid ones."""

import argparse
import inspect
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from geneformer_codec.cli.console import printable
from geneformer_codec.errors import did_you_mean

_Result = TypeVar("_Result")


def call_with(function: Callable[..., _Result], options: argparse.Namespace, **more: Any) -> _Result:
    """Call a function with the options that are its parameters; those that were not given keep its defaults."""
    found = {name: value for name, value in vars(options).items() if value is not None}
    parameters = inspect.signature(function).parameters.values()
    needed = {parameter.name: None for parameter in parameters if parameter.default is parameter.empty}
    given = {parameter.name: found[parameter.name] for parameter in parameters if parameter.name in found}
    return function(**needed | given | more)


class CommandParser(argparse.ArgumentParser):
    """Keeps the lines of examples, and accepts full names of options only, so that new ones break no call.

    Options may stand between arguments: ``gfz fetch x.gfz --model m.gfmodel chr1:1-100``. What follows ``--`` is not an
    option, whatever it begins with.
    """

    def __init__(self, **settings: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)
        self._mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base class, intermixed where there are no commands of its own, which argparse could not mix."""
        args = _marked(sys.argv[1:] if args is None else list(args))
        if self._subparsers and not args:
            self.print_help(sys.stderr)
            self.exit(2)
        if self._mixing or self._subparsers:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            found, surplus = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False
        if surplus:
            self.error(self._surplus(surplus[0]))
        return found, surplus

    def _surplus(self, argument: str) -> str:
        """What is wrong with an argument that has no place."""
        if isinstance(argument, _NoOption) or not argument.startswith("-"):
            return f"'{argument}' is one argument too many"
        name = argument.partition("=")[0]
        return f"there is no option {name}{did_you_mean(name, self._option_string_actions)}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As the base class, with a guess at what was meant."""
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        if isinstance(action, argparse._SubParsersAction):
            what = str(action.metavar).lower()
            raise argparse.ArgumentError(None, f"there is no {what} '{value}'{did_you_mean(value, known)}")
        raise argparse.ArgumentError(action, f"'{value}' is none of {', '.join(known)}{did_you_mean(value, known)}")

    def _parse_optional(self, arg_string: str) -> Any:
        """What kind of option an argument is, None if it is none."""
        return None if isinstance(arg_string, _NoOption) else super()._parse_optional(arg_string)

    def _print_message(self, message: str, file: Any = None) -> None:
        """As the base class, but that help cannot be written is an error."""
        if message and file is sys.stdout:
            file.write(message)
            file.flush()
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the call, first of all, and exit."""
        self.exit(2, f"{self.prog}: error: {printable(message)}\nSee '{self.prog} --help'.\n")


class _NoOption(str):
    """An argument that stood after ``--``. argparse alone forgets that, as it parses intermixed arguments twice."""


def _marked(arguments: list[str]) -> list[str]:
    """The arguments without ``--``, those after it marked."""
    at = next((at for at, argument in enumerate(arguments) if argument == "--"), len(arguments))
    if any(isinstance(argument, _NoOption) for argument in arguments[:at]):
        return arguments
    return arguments[:at] + [_NoOption(argument) for argument in arguments[at + 1 :]]
