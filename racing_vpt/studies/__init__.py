"""Measurements that compare several models or recipes."""
