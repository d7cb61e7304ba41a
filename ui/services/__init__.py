"""The library as the tabs use it, without Gradio."""
