"""What pyproject.toml cannot say: the folder configs/ is installed as racing_vpt/configs, so that a wheel has it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["racing_vpt*"]), "racing_vpt.configs"],
    package_dir={"racing_vpt.configs": "configs"},
)
