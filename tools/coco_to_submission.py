"""Shim over hpa_mmdet.cli.coco_to_submission."""

import sys

from hpa_mmdet.cli.coco_to_submission import main

if __name__ == "__main__":
    sys.exit(main())
