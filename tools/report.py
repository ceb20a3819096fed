"""Shim over hpa_mmdet.cli.report."""

import sys

from hpa_mmdet.cli.report import main

if __name__ == "__main__":
    sys.exit(main())
