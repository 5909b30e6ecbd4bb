"""From layers and a chip to energy, latency and area."""
