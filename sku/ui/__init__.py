"""The page. The only place besides `app.py` that imports gradio; never imports torch."""
