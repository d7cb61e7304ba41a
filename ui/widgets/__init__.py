"""What several tabs draw: tiles, downloads, the looks of the page."""
