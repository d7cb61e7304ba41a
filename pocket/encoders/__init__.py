"""The bundled encoders: one converted, two trained, and their evaluation."""
