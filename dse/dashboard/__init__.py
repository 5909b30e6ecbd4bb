"""optuna-dashboard on a study database: constraints seen, thousands of trials, nothing written."""
