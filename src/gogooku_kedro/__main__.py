"""Run the packaged project: `python -m gogooku_kedro --pipelines=...`."""

import sys
from pathlib import Path

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project

from gogooku_kedro.console import quieten


def main() -> None:
    """Run the project with the arguments of the command line."""
    quieten()
    package_name = Path(__file__).parent.name
    configure_project(package_name)
    find_run_command(package_name)(sys.argv[1:], standalone_mode=True)


if __name__ == "__main__":
    main()
