"""Controllers side by side: hundreds of searches in a table, each on a virtual clock."""
