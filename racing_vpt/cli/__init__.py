"""The command line: parsing, Lightning's stages, run folders, errors."""
