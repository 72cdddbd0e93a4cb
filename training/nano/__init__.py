"""Recipe that trains sam2-nano: see training/README.md."""
