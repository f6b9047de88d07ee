"""The verbs of the command line that are no training stage, one file a verb."""
