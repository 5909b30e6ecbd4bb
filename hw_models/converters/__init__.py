"""What an ADC costs, one model per file."""
