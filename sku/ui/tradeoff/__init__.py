"""The Trade-off tab: plots the harmful rate against the cost of forgetting."""
