"""Shim over hpa_mmdet.cli.cache_images."""

import sys

from hpa_mmdet.cli.cache_images import main

if __name__ == "__main__":
    sys.exit(main())
