"""What to try next: controllers, asked for proposals and told their results."""
