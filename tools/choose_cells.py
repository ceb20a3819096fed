"""Shim over hpa_mmdet.cli.choose_cells."""

import sys

from hpa_mmdet.cli.choose_cells import main

if __name__ == "__main__":
    sys.exit(main())
