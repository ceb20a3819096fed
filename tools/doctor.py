"""Shim over hpa_mmdet.cli.doctor."""

import sys

from hpa_mmdet.cli.doctor import main

if __name__ == "__main__":
    sys.exit(main())
