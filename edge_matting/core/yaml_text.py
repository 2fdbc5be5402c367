"""YAML to plain values, by libyaml where PyYAML was built with it: ten times as fast.

Two manifests and a configuration are read before the first photo can be done.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

YAMLError: Final = yaml.YAMLError

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """The first document's value; raises ``YAMLError`` with line and column."""
    return yaml.load(text, _Loader)  # noqa: S506  both loaders are the safe ones
