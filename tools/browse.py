"""Shim over hpa_mmdet.cli.browse."""

import sys

from hpa_mmdet.cli.browse import main

if __name__ == "__main__":
    sys.exit(main())
