"""The three models of a run, in the order in which they are made and shown."""

from __future__ import annotations

from typing import Literal

Role = Literal["teacher", "control", "student"]
ROLES: tuple[Role, ...] = ("teacher", "control", "student")
