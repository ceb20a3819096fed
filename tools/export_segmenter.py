"""Shim over hpa_mmdet.cli.export_segmenter."""

import sys

from hpa_mmdet.cli.export_segmenter import main

if __name__ == "__main__":
    sys.exit(main())
