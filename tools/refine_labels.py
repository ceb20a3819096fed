"""Shim over hpa_mmdet.cli.refine_labels."""

import sys

from hpa_mmdet.cli.refine_labels import main

if __name__ == "__main__":
    sys.exit(main())
