"""Repositories of the Hugging Face Hub: named, fetched into its cache, verified, and written."""
