"""Shim over hpa_mmdet.cli.download_hpa."""

import sys

from hpa_mmdet.cli.download_hpa import main

if __name__ == "__main__":
    sys.exit(main())
