"""The Compare tab: one prompt, several variants side by side."""
