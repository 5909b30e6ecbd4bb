"""What a person sees: progress, tables, JSON, CSV, HTML."""
