"""What may vary in a design; knows no optimiser."""
