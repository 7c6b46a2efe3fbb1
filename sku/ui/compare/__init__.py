"""The Compare tab: several variants answer one prompt side by side."""
