"""Shim over hpa_mmdet.cli.explain."""

import sys

from hpa_mmdet.cli.explain import main

if __name__ == "__main__":
    sys.exit(main())
