"""The published experiment: its grid, the rule that selects what is shipped, and the release into assets."""
