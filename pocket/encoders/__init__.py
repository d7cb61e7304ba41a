"""The encoders that work offline: one converted, two trained, and what each is good for."""
