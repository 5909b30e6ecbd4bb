"""How a published accelerator walks its cells, one per file."""
