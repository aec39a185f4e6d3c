"""What the Dockerfile says, read from it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
INSTALLED = "/opt/billing"


class Recipe:
    """The instructions of the Dockerfile, by stage; the last stage is the image."""

    def __init__(self, path: Path = ROOT / "Dockerfile") -> None:
        with path.open("rb") as file:
            structure: Sequence[Mapping[str, Any]] = DockerfileParser(fileobj=file).structure
        self.before: list[tuple[str, str]] = []
        self.stages: list[list[tuple[str, str]]] = []
        for each in structure:
            if each["instruction"] == "COMMENT":
                continue
            if each["instruction"] == "FROM":
                self.stages.append([])
            place = self.stages[-1] if self.stages else self.before
            place.append((each["instruction"], each["value"]))

    def values(self, instruction: str, *, stage: int = -1) -> Sequence[str]:
        """Every value of an instruction in a stage."""
        return [value for name, value in self.stages[stage] if name == instruction]

    def argument(self, name: str) -> str:
        """The default of an argument, wherever it is declared."""
        declared = [value for stage in (self.before, *self.stages) for kind, value in stage if kind == "ARG"]
        return next(value.partition("=")[2] for value in declared if value.startswith(f"{name}="))

    def environment(self, *, stage: int = -1) -> Mapping[str, str]:
        """What ENV sets."""
        words = [word for value in self.values("ENV", stage=stage) for word in shlex.split(value)]
        return dict(word.split("=", 1) for word in words)

    def command(self, instruction: str = "CMD") -> Sequence[str]:
        """What CMD or HEALTHCHECK runs, without a shell. Raises ValueError where it wants one."""
        (value,) = self.values(instruction)
        words: Sequence[str] = json.loads(value[value.index("[") :])
        return words
