"""The features of a collection in a Milvus server, or in a file by Milvus Lite."""
