"""What a screen or a command may ask for: sessions, and background jobs for training and evaluation."""
