"""The loop sample → train → reward → update, and its record on disk."""
