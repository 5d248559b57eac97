"""`python -m charpipe` is the command `charpipe`."""

import sys

from charpipe.cli import main

if __name__ == "__main__":
    sys.exit(main())
