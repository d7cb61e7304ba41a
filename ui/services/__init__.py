"""What the tabs ask of the library; nothing here knows Gradio."""
