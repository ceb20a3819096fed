"""Shim over hpa_mmdet.cli.infer."""

import sys

from hpa_mmdet.cli.infer import main

if __name__ == "__main__":
    sys.exit(main())
