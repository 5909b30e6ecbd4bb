"""What a crossbar accelerator costs and computes; knows no study, no optimiser, no training."""
