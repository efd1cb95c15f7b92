"""The experts and their mixer: context counts, copies, attention over copies, all in integers."""
