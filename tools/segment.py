"""Shim over hpa_mmdet.cli.segment."""

import sys

from hpa_mmdet.cli.segment import main

if __name__ == "__main__":
    sys.exit(main())
