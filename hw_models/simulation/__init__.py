"""What the crossbars compute, exactly; the only package of hw_models that imports torch."""
