"""Design-space optimisation for compute-in-memory (ReRAM crossbar) DNN accelerators."""
