"""Recordings of others: what they hold, and the game file and import that fit them."""
