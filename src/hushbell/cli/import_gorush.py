"""``hushbell gateway import``: a gorush configuration becomes ours."""

import os
from pathlib import Path
from typing import Any

import click
import yaml

from hushbell.cli.files import MAX_CONFIG_BYTES, write_new, write_secret
from hushbell.config.gorush_import import translated
from hushbell.config.loader import Source, load
from hushbell.errors import ConfigError
from hushbell.providers.registry import SETTINGS
from hushbell.stores.at_rest import make_folder


@click.command("import", epilog="Example: hushbell gateway import gorush.yml --output hushbell.toml")
@click.argument("path", metavar="GORUSH.YML")
@click.option("--output", metavar="FILE", help="Where our configuration goes; must not exist.  [default: printed]")
@click.option("--secrets", metavar="DIR", default="hushbell-secrets", show_default=True, help="Where secrets go.")
def command(path: str, output: str | None, secrets: str) -> None:
    """
    Turn a gorush configuration into ours.

    Secrets that stand in the file go to files of their own, which only you may read. Variables of gorush's
    (GORUSH_…) count as they do there. What has no counterpart is reported on standard error.
    """
    if output is not None and Path(output).exists():
        raise ConfigError(f"{output} exists and is left as it is")
    try:
        made = translated(_parsed(path), os.environ, secrets)
    except ConfigError as error:
        problem = str(error)
        raise ConfigError(problem if problem.startswith(path) else f"{path}: {problem}") from None
    load(Source("the result", made.toml), providers=SETTINGS)  # never hand out what check would refuse
    folder = Path(secrets)
    if made.secrets:
        make_folder(folder)
        for name, content in made.secrets.items():
            write_secret(folder / name, content)
    for note in made.notes:
        click.echo(note, err=True)
    if output is None:
        click.echo(made.toml, nl=False)
    else:
        write_new(Path(output), made.toml.encode())


def _parsed(path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_CONFIG_BYTES} bytes")
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML") from None
