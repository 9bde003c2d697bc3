"""The command line: parse, compose, run. A command's module is imported when it is called, so that --help is quick."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import click

from hushbell import __version__
from hushbell.errors import ConfigError, HushbellError, StoreUnavailable, TransportError

FAILED = 1
WRONG_USAGE = 2
TRY_AGAIN = 75  # EX_TEMPFAIL

COMMANDS = {
    # name: what --help says. The command is ``command`` in the module ``hushbell.cli.NAME``, "-" written "_".
    "init": "Write hushbell.toml and make the data folder with a new identity.",
    "check": "Check the configuration and say what a server would do with it.",
    "serve": "Run the push notification server.",
    "node": "Run a Waku node alone.",
    "gateway": "Push for apps, from a queue on the disk.",
    "device": "Be a phone, or ten thousand: register, ring, receive.",
    "push": "Send one notification through a gateway.",
    "store": "List damaged rows of the databases; release or discard them.",
    "keys": "Make identities and API keys; show what is public.",
    "mock-providers": "Stand in for Apple, Google and the others, for tests.",
    "demo": "Simulated phones ring each other in this process.",
}


def _module(name: str) -> str:
    return f"hushbell.cli.{name.replace('-', '_')}"


class Commands(click.Group):
    """The commands in the order of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of what is installed."""
        return [name for name in COMMANDS if find_spec(_module(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None if there is no such thing."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(_module(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing a single command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: hushbell init && hushbell check && hushbell serve",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Ring the phones of a private messenger, and learn as little as possible."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with 0 done, 1 failed, 2 wrong usage or configuration, 75 try again later."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. A mistake of the user is printed as a line, without a traceback."""
    try:
        result = commands.main(args=arguments, prog_name="hushbell", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return FAILED
    except ConfigError as error:
        return _print_error(error, WRONG_USAGE)
    except (StoreUnavailable, TransportError) as error:
        return _print_error(error, TRY_AGAIN)
    except HushbellError as error:
        return _print_error(error, FAILED)
    except OSError as error:
        return _print_error(f"{error.filename or 'system'}: {error.strerror or error}", FAILED)
    return result if isinstance(result, int) else 0


def _print_error(error: object, code: int) -> int:
    click.echo(str(error), err=True)
    return code
