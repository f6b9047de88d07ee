"""Data in the formats of others, in and out: tables, arrays, OpenAI's contractor recordings, LeRobot datasets."""
