"""How the embedded judge is trained and measured. Not imported when answers are judged."""
