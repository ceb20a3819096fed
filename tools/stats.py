"""Shim over hpa_mmdet.cli.stats."""

import sys

from hpa_mmdet.cli.stats import main

if __name__ == "__main__":
    sys.exit(main())
