"""Shim over hpa_mmdet.cli.ensemble."""

import sys

from hpa_mmdet.cli.ensemble import main

if __name__ == "__main__":
    sys.exit(main())
