"""Shim over hpa_mmdet.cli.serve."""

import sys

from hpa_mmdet.cli.serve import main

if __name__ == "__main__":
    sys.exit(main())
