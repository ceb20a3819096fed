"""Shim over hpa_mmdet.cli.evaluate."""

import sys

from hpa_mmdet.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
