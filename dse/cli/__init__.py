"""The `dse` command, one subcommand per file."""
