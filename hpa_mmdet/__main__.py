"""`python -m hpa_mmdet TOOL ...` is `hpa-mmdet TOOL ...`."""

import sys

from hpa_mmdet.cli import main

if __name__ == "__main__":
    sys.exit(main())
