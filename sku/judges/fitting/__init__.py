"""Trains the embedded judge and measures judges against labels. Never imported when answers are judged."""
