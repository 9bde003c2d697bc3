"""Fuzz one target in this process: ``run.py TARGET [libFuzzer option or corpus folder...]``."""

import importlib
import sys

import atheris


def main() -> None:
    with atheris.instrument_imports(include=["hushbell"]):
        target = importlib.import_module("targets").TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
