"""The features of a collection in a Milvus server or a Milvus Lite file."""
