"""Values, settings, the table of methods, variants and run folders. No torch, no gradio."""
