"""The version of limbeck."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("limbeck")
except PackageNotFoundError:  # run from a source tree that was not installed
    VERSION = "0+source"
