"""``python -m hushbell.cli`` is ``hushbell``."""

from hushbell.cli import main

main()
