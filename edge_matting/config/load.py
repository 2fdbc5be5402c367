"""Find, read and check the configuration; name every fault with its path."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from edge_matting.config.builtin import BUILT_IN
from edge_matting.config.faults import config_error, faults_of
from edge_matting.config.recipe import Recipe
from edge_matting.config.settings import HotFolder, Settings
from edge_matting.core.errors import ConfigError
from edge_matting.core.model_ids import current_id
from edge_matting.core.yaml_text import YAMLError, parse_yaml

log = logging.getLogger(__name__)

SYSTEM_CONFIG: Final = Path("/etc/edge-matting/edge-matting.yaml")
ENVIRONMENT_KEY: Final = "EDGE_MATTING_CONFIG"


def find_config(explicit: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: ``-c``, then the environment, then /etc; None means built-in defaults."""
    if explicit is not None:
        return explicit
    if ENVIRONMENT_KEY in environ:
        return Path(environ[ENVIRONMENT_KEY])
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None


def load_settings(path: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """Read ``path`` (None: defaults), apply ``KEY=VALUE`` overrides, check, resolve paths.

    Raises ``ConfigError`` whose ``faults`` hold one ``path.to.key: what is wrong`` line each.
    """
    raw = {} if path is None else _read_yaml(path)
    for override in overrides:
        _seed_recipe(raw, override)
        _apply(raw, override)
    base = Path.cwd() if path is None else path.parent
    return parse_settings(raw, base)


def parse_settings(raw: Mapping[str, Any], base: Path) -> Settings:
    """Check plain values against the schema; relative paths are taken from ``base``."""
    try:
        # Through JSON, so that strict types still accept lists for tuples and text for paths.
        settings = Settings.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise config_error(faults_of(error, Settings)) from None
    faults = list(_dangling_names(settings))
    faults += [
        f"hot_folders[{index}].pins: there is no such key"
        for index, folder in enumerate(settings.hot_folders)
        if folder.pins
    ]
    if faults:
        raise config_error(faults)
    return _with_pictures(_resolved(_with_current_model(settings), base.absolute()))


def _with_current_model(settings: Settings) -> Settings:
    current = current_id(settings.model)
    if current == settings.model:
        return settings
    log.warning("model: %s is called %s now; it is used", settings.model, current)
    return settings.model_copy(update={"model": current})


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error}") from error
    try:
        raw = parse_yaml(text)
    except YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys with values at the top level")
    return raw


def _seed_recipe(raw: dict[str, Any], override: str) -> None:
    """An override that reaches into a built-in recipe changes that one value of it."""
    match = re.match(r"recipes\.([^.=]+)\.", override)
    if match is None or match[1] not in BUILT_IN:
        return
    recipes = raw.setdefault("recipes", {})
    if isinstance(recipes, dict):
        recipes.setdefault(match[1], BUILT_IN[match[1]].model_dump(mode="json"))


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected KEY=VALUE")
    try:
        value = parse_yaml(text)
    except YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from error
    *parents, last = key.split(".")
    node = raw
    for name in parents:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {name} holds a value, not keys")
        node = child
    node[last] = value


def _dangling_names(settings: Settings) -> Iterator[str]:
    for index, folder in enumerate(settings.hot_folders):
        if folder.recipe not in settings.recipes:
            close = difflib.get_close_matches(folder.recipe, settings.recipes, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(settings.recipes)}"
            yield f"hot_folders[{index}].recipe: no recipe is named {folder.recipe!r}; {hint}"
    for name in settings.recipes:
        if not name or name in {".", ".."} or "/" in name or name.startswith("."):
            yield f"recipes.{name}: a recipe's name is also a sub-folder; use a plain word"


def _resolved(settings: Settings, base: Path) -> Settings:
    """The same settings with every relative path made absolute."""

    def absolute(path: Path) -> Path:
        try:
            return Path(os.path.normpath(base / path.expanduser()))
        except RuntimeError:
            raise ConfigError(f"{path}: there is no home of such a user") from None

    def folder(value: HotFolder) -> HotFolder:
        out = None if value.out is None else absolute(value.out)
        return value.model_copy(update={"path": absolute(value.path), "out": out})

    def recipe(value: Recipe) -> Recipe:
        changed: dict[str, Any] = {}
        if value.background.image is not None:
            image = {"image": absolute(value.background.image)}
            changed["background"] = value.background.model_copy(update=image)
        if value.ground.plate_file is not None:
            plate = {"plate": str(absolute(value.ground.plate_file))}
            changed["ground"] = value.ground.model_copy(update=plate)
        return value.model_copy(update=changed) if changed else value

    token = settings.status.token_file
    status = settings.status.model_copy(
        update={"token_file": None if token is None else absolute(token)}
    )
    return settings.model_copy(
        update={
            "state_dir": absolute(settings.state_dir),
            "hot_folders": tuple(folder(value) for value in settings.hot_folders),
            "status": status,
            "recipes": {name: recipe(value) for name, value in settings.recipes.items()},
        }
    )


def _with_pictures(settings: Settings) -> Settings:
    """The same settings with the digest of each background picture and plate."""
    recipes, faults = dict(settings.recipes), []
    for name, recipe in settings.recipes.items():
        background, ground = recipe.background, recipe.ground
        try:
            if background.image is not None:
                digest = {"image_sha256": _digest(background.image)}
                background = background.model_copy(update=digest)
        except OSError as error:
            faults.append(f"recipes.{name}.background.image: cannot be read: {error.strerror}")
        try:
            if ground.plate_file is not None:
                digest = {"plate_sha256": _digest(ground.plate_file)}
                ground = ground.model_copy(update=digest)
        except OSError as error:
            faults.append(f"recipes.{name}.ground.plate: cannot be read: {error.strerror}")
        recipes[name] = recipe.model_copy(update={"background": background, "ground": ground})
    if faults:
        raise config_error(faults)
    return settings.model_copy(update={"recipes": recipes})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
