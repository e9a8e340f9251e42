"""What all commands share: where they print, and the arguments that many of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

RunFile = Annotated[Path, typer.Argument(help="The run file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings to change, as key.sub=value.", show_default=False)
]


def say(text: str) -> None:
    """Print a line as it is."""
    out.print(escape(text), soft_wrap=True)
