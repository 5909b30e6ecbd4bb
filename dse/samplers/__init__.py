"""Samplers: each proposes designs, each an Optuna sampler."""
