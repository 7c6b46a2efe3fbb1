"""The Trade-off tab: harmful rate against what forgetting costs."""
