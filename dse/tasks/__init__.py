"""Networks on data sets, one task per file."""
