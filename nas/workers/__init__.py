"""Where children run: slots of this machine, one fresh process for each child."""

OUT_OF_MEMORY_EXIT = 77
"""Exit code of a child that ended itself because it passed its memory limit."""
