"""Shim over hpa_mmdet.cli.compare_masks."""

import sys

from hpa_mmdet.cli.compare_masks import main

if __name__ == "__main__":
    sys.exit(main())
