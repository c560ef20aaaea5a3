"""From a search to a result: the best are retrained, one is chosen on validation data and tested once."""
