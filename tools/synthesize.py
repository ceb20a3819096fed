"""Shim over hpa_mmdet.cli.synthesize."""

import sys

from hpa_mmdet.cli.synthesize import main

if __name__ == "__main__":
    sys.exit(main())
