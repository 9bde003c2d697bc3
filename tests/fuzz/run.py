"""Fuzz one target in this process: ``run.py [MODULE.]TARGET [libFuzzer option or corpus folder...]``."""

import importlib
import sys

import atheris


def main() -> None:
    with atheris.instrument_imports(include=["hushbell"]):
        module, _, name = sys.argv[1].rpartition(".")
        target = importlib.import_module(module or "targets").TARGETS[name]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
