"""Every lower bound of setup.py is really pinned where the lower bounds are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.lower_bounds import pins

SETUP = (Path(__file__).parents[2] / "setup.py").read_text("utf-8")


def test_each_requirement_is_pinned_at_its_lower_bound() -> None:
    required = ["numpy>=1.26", "uvicorn >=0.34 ; python_version > '3'", "pydantic[email]>=2.10,<3"]
    extra = ["onnxruntime>=1.20; extra == 'cpu'", 'torch>=2.9; extra == "torch"']
    assert list(pins([*required, *extra], ["cpu"])) == [
        "numpy==1.26",
        "uvicorn==0.34",
        "pydantic==2.10",
        "onnxruntime==1.20",
    ]


def test_a_requirement_without_a_lower_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="no lower bound: numpy"):
        list(pins(["numpy"], []))


def test_setup_has_a_lower_bound_for_whatever_it_requires() -> None:
    runtime = re.search(r"RUNTIME = \[(.*?)\]", SETUP, re.DOTALL)
    assert runtime is not None
    required = re.findall(r'"([^"]+)"', runtime[1])
    assert len(list(pins(required, []))) == len(required) > 10
