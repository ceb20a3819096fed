"""Shim over hpa_mmdet.cli.extract_crops."""

import sys

from hpa_mmdet.cli.extract_crops import main

if __name__ == "__main__":
    sys.exit(main())
