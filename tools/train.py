"""Shim over hpa_mmdet.cli.train."""

import sys

from hpa_mmdet.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
