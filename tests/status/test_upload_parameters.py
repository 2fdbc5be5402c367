"""A photo sent with settings of its own, through the real appliance: kept whatever is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from harness import PHOTO, RunningAppliance, files

from tools.waiting import wait_for

GREY = cv2.imencode(".jpg", cv2.imread(str(PHOTO))[:64, :64] // 8 + 100)[1].tobytes()
OWN = {"format": "jpg", "background": "#3366cc", "crop": None}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[RunningAppliance]:
    appliance = RunningAppliance(tmp_path)
    yield appliance
    if appliance.process is not None:
        appliance.stop()


def send(
    box: RunningAppliance, name: str, data: bytes, parameters: Any, recipe: str | None = None
) -> tuple[int, Any]:
    begin = {"name": name, "size": len(data), "parameters": parameters, "recipe": recipe}
    status, begun = box.post("/api/v1/uploads", begin)
    if status != 201:
        return status, begun
    return box.put(f"/api/v1/uploads/{begun['id']}?offset=0", data)


def sidecar(box: RunningAppliance, stem: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((box.outbox / f"{stem}.json").read_bytes())
    return body


def test_the_same_photo_with_other_settings_is_another_result(box: RunningAppliance) -> None:
    box.start()
    data = PHOTO.read_bytes()
    for name, own in (("plain.jpg", {}), ("own.jpg", OWN), ("again.jpg", OWN)):
        assert send(box, name, data, own)[0] == 200
        wait_for(lambda name=name: (box.done / name).exists(), name)
    plain, own, again = (sidecar(box, stem) for stem in ("plain", "own", "again"))
    assert (plain["parameters"], own["parameters"], again["parameters"]) == (None, OWN, OWN)
    assert plain["recipe_key"] != own["recipe_key"] == again["recipe_key"]
    assert (own["cache"], again["cache"]) == ("matte", "exact")
    assert [output["file"] for output in own["outputs"]] == ["own.jpg"]
    corner = cv2.imread(str(box.outbox / "own.jpg"))[2, 2]
    assert (
        max(abs(int(c) - wanted) for c, wanted in zip(corner, (0xCC, 0x66, 0x33), strict=True)) < 12
    )
    (job,) = [one for one in box.get("/api/v1/jobs")[1]["jobs"] if one["source"] == "own.jpg"]
    assert (job["parameters"], job["recipe"]) == (OWN, "cutout")


def test_settings_outlive_a_kill_before_the_photo_is_done(box: RunningAppliance) -> None:
    box.write_config(intake={"settle_seconds": 3600.0, "rescan_seconds": 2.0})
    box.start()
    assert box.post("/api/v1/pause")[0] == 200
    assert send(box, "a.jpg", PHOTO.read_bytes(), OWN)[0] == 200
    box.kill()
    box.start()
    assert box.post("/api/v1/resume")[0] == 200  # a pause outlives a kill, too
    box.wait_finished(1)
    assert sidecar(box, "a")["parameters"] == OWN
    with box.ledger() as ledger:
        assert ledger.check() == []


def test_a_retry_keeps_them_and_a_recipe_that_changed_says_so(box: RunningAppliance) -> None:
    deep = {"outputs": [{"kind": "alpha", "format": "png", "bits": 16}]}
    box.write_config(recipes={"cutout": {}, "mask": deep})
    box.start()
    assert box.post("/api/v1/pause")[0] == 200
    own = {"format": "webp", "feather": 2}
    assert send(box, "mask.jpg", GREY, own, "mask")[0] == 200
    assert send(box, "cut.jpg", GREY, {"shadow": {"blur": 1}, **own})[0] == 200
    wait_for(lambda: len(box.jobs()) == 2, "both jobs")
    previews = {"outputs": [{"kind": "preview", "format": "jpg"}]}
    box.kill()
    box.write_config(recipes={"cutout": {}, "mask": previews})
    box.start()
    assert box.post("/api/v1/resume")[0] == 200  # a pause outlives a kill
    box.wait_finished(2)
    jobs = {job.source: job for job in box.jobs()}
    told = jobs["mask/mask.jpg"]
    assert (told.state.value, told.code) == ("failed", "unfit_parameters")
    assert "a preview is written as jpg, not as" in str(told.message)
    box.stop()
    box.write_config(recipes={"cutout": {}, "mask": deep})
    box.start()
    assert box.post(f"/api/v1/jobs/{told.id}/retry")[0] == 200
    wait_for(lambda: not files(box.failed), "the retry")
    box.wait_finished(2)
    again = {job.source: job for job in box.jobs()}["mask/mask.jpg"]
    assert json.loads(str(again.parameters)) == own
    assert [output.file for output in again.outputs] == ["mask/mask.webp"]


def test_bad_values_are_a_clear_error_and_nothing_is_begun(box: RunningAppliance) -> None:
    box.start()
    for parameters, told in (
        ({"feather": "soft"}, "parameters: feather: expected a valid number, got 'soft'"),
        ({"feathr": 1}, "parameters: feathr: unknown key; did you mean feather?"),
        (["feather"], "parameters: expected keys with values"),
        ({"background": {"image": "/etc/passwd"}}, "only a recipe of the configuration"),
    ):
        status, body = send(box, "a.jpg", GREY, parameters)
        assert (status, body["error"]["code"]) == (400, "bad_request")
        assert told in body["error"]["message"]
    assert list(box.inbox.iterdir()) == []
