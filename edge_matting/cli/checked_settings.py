"""Settings that an appliance can start with: names that other parts must know are looked up."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from edge_matting.cli.settings import read_settings
from edge_matting.config import Settings
from edge_matting.core.errors import ConfigError, ModelError
from edge_matting.hotfolder.layout import overlaps
from edge_matting.models.catalog import Catalog, shipped_models_dir
from edge_matting.status.security import read_token


def read_checked_settings(options: argparse.Namespace) -> Settings:
    """The configuration; ``ConfigError`` names every fault that would keep it from working."""
    settings = read_settings(options)
    faults = tuple(faults_of_settings(settings))
    if faults:
        raise ConfigError("\n".join(faults), faults=faults)
    return settings


def faults_of_settings(settings: Settings) -> Iterator[str]:
    """One ``path.to.key: what is wrong`` line for each fault."""
    yield from overlaps(settings.hot_folders)
    yield from _model_faults(settings)
    yield from _token_faults(settings.status.token_file)


def _model_faults(settings: Settings) -> Iterator[str]:
    catalog = Catalog(shipped_models_dir(), settings.models_dir)
    try:
        own = catalog.get(settings.model).task
    except ModelError as error:
        yield f"model: {'; '.join(filter(None, (error.message, error.hint)))}"
        return
    for name, recipe in settings.recipes.items():
        missing = [t for t in recipe.tasks if t != own and catalog.model_for(t) is None]
        if missing:
            yield f"recipes.{name}: there is no model for {' and '.join(missing)}"


def _token_faults(path: Path | None) -> Iterator[str]:
    """A token that another user alone may read is that user's to check, and ``doctor`` says so."""
    if path is None:
        return
    try:
        read_token(path)
    except ConfigError as error:
        if not _is_closed(path):
            yield str(error)


def _is_closed(path: Path) -> bool:
    try:
        return path.is_file() and not os.access(path, os.R_OK)
    except PermissionError:
        return True
