"""Projects written for one test."""

from tests.graphs.conftest import write_project

__all__ = ["write_project"]
