"""The Gradio page. Only this package and `app.py` import gradio; this package never imports torch."""
