"""Experiments that compare several models or recipes."""
