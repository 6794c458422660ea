"""`ragstone` and `python -m ragstone`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    from .cli.app import run

    sys.exit(run(sys.argv[1:], os.environ))


if __name__ == "__main__":
    main()
