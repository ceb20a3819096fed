"""Self-contained HTML pages: text, tables, plots and pictures in one file, no network."""

from hpa_mmdet.pages.page import Page

__all__ = ["Page"]
