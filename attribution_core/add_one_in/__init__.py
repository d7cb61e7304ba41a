"""Add-one-in models: images whose influence is known by construction, and what is measured on them."""
