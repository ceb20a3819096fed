"""Shim over hpa_mmdet.cli.export."""

import sys

from hpa_mmdet.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
