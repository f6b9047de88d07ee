"""Games: their controls, frames, keys and environments, one YAML file each."""
