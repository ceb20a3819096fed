"""Files in and out: channels, label images, label tables, submissions, atomic writes."""
