"""Reading studies column by column, SQL to NumPy, without an object for every trial."""
