"""Shim over hpa_mmdet.cli.learn_reviewed."""

import sys

from hpa_mmdet.cli.learn_reviewed import main

if __name__ == "__main__":
    sys.exit(main())
