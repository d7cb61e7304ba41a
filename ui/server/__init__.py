"""What stands between strangers and the tabs: doors, the upload, the gate of every call, and the queue."""
