"""Verbs of the command line other than the training stages, one file each."""
