"""Public images of the Human Protein Atlas, fetched into the layout the converter reads."""
