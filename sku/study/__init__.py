"""The published experiment: its trainings, the rule that selects what is shipped, and the release into assets."""
