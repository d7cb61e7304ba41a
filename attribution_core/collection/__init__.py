"""A folder with everything for one training set: its layout, how it is opened, built and published."""
