"""Cell masks: run-length encoding, label images, pasting, overlap; numpy and pycocotools only."""
