"""Shim over hpa_mmdet.cli.validate_coco."""

import sys

from hpa_mmdet.cli.validate_coco import main

if __name__ == "__main__":
    sys.exit(main())
