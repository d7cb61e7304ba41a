"""Speed and quality measured against peers; each prints JSON lines with the machine and the date."""
