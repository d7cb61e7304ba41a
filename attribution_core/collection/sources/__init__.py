"""Sources of images for a collection: folders, tar archives, Parquet files, Hugging Face data sets."""
