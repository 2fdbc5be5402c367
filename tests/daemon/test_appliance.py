"""The appliance end to end: real processes, a real photo, seen from outside."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
from harness import PHOTO, files

from tools.waiting import wait_for


def test_a_dropped_photo_comes_out_as_a_cut_out_with_its_sidecar(appliance):
    box = appliance().start()
    box.drop("astronaut.jpg")
    box.wait_finished(1)
    assert files(box.outbox) == ["astronaut.json", "astronaut.png"]
    assert files(box.done) == ["astronaut.jpg"]
    assert files(box.inbox) == []
    sidecar = json.loads((box.outbox / "astronaut.json").read_text())
    picture = (box.outbox / "astronaut.png").read_bytes()
    assert sidecar["outputs"][0]["sha256"] == hashlib.sha256(picture).hexdigest()
    assert sidecar["source_sha256"] == hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    assert sidecar["source_size"] == [512, 512]
    rgba = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba.shape == (512, 512, 4)
    assert rgba[300, 250, 3] > 200  # the suit
    assert rgba[20, 500, 3] < 80  # the background
    assert not rgba[..., :3][rgba[..., 3] == 0].any()  # no colour left under alpha 0
    job = box.get("/api/v1/jobs")[1]["jobs"][0]
    assert (job["source"], job["state"]) == ("astronaut.jpg", "succeeded")
    assert "default" in (box.status() or {})["models"]


def test_it_stops_cleanly_on_ctrl_c_within_five_seconds(appliance):
    box = appliance().start()
    for number in range(6):
        box.drop(f"{number}.jpg", PHOTO.read_bytes() + bytes([number]))
    begin = time.monotonic()
    assert box.stop(signal.SIGINT) == 0
    assert time.monotonic() - begin < 5
    assert box.counts()["running"] == 0
    box.start()
    box.wait_finished(6)
    assert len(files(box.done)) == 6
    assert box.check() == []


def test_many_photos_survive_the_death_of_the_engine_and_of_the_daemon(appliance):
    box = appliance().start()
    number = 60
    for index in range(number):
        folder = "" if index % 3 else f"day {index % 7}/"
        # Bytes behind the end of a JPEG make each file another source.
        box.drop(f"{folder}{index}.jpg", PHOTO.read_bytes() + f"{index}".encode())
    wait_for(lambda: box.counts()["succeeded"] > 5, "first results")
    box.kill_engine()
    wait_for(lambda: box.counts()["succeeded"] > 25, "results after the engine's death")
    box.kill()
    box.start()
    counts = box.wait_finished(number)
    assert counts == dict.fromkeys(counts, 0) | {"succeeded": number}
    assert len([name for name in files(box.outbox) if name.endswith(".png")]) == number
    assert len(box.sidecars()) == number
    assert len(files(box.done)) == number
    assert files(box.inbox) == []
    assert box.check() == []
    for sidecar in box.sidecars():
        data = (box.outbox / sidecar["outputs"][0]["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sidecar["outputs"][0]["sha256"]


def test_a_recipe_named_sub_folder_uses_that_recipe(appliance):
    recipes = {
        "cutout": {},
        "shop": {"outputs": [{"kind": "composite", "format": "jpg"}, {"kind": "alpha"}]},
    }
    box = appliance(recipes=recipes).start()
    box.drop("shop/shoe.jpg")
    box.wait_finished(1)
    assert files(box.outbox) == ["shop/shoe.alpha.png", "shop/shoe.jpg", "shop/shoe.json"]


def test_a_photo_without_a_subject_goes_to_review_and_can_be_accepted(appliance):
    box = appliance().start()
    _, plain = cv2.imencode(".jpg", np.full((300, 400, 3), 128, np.uint8))
    box.drop("nothing.jpg", plain.tobytes())
    counts = box.wait_finished(1)
    assert counts["review"] == 1
    assert files(box.review) == ["nothing.json", "nothing.png"]
    sidecar = json.loads((box.review / "nothing.json").read_text())
    assert sidecar["quality"]["verdict"] == "review"
    assert sidecar["quality"]["reasons"] == ["no_subject"]
    job = box.get("/api/v1/jobs")[1]["jobs"][0]
    status, _ = box.post(f"/api/v1/jobs/{job['id']}/accept")
    assert status == 200
    box.wait_finished(1)
    assert files(box.review) == []
    assert files(box.outbox) == ["nothing.json", "nothing.png"]
    assert box.counts()["succeeded"] == 1


def test_a_failed_photo_can_be_tried_again_from_where_it_lies(appliance):
    box = appliance(limits={"max_pixels": 1000, "min_free_mb": 1}).start()
    box.drop("large.jpg")
    assert box.wait_finished(1)["failed"] == 1
    report = json.loads((box.failed / "large.jpg.error.json").read_text())
    assert report["code"] == "too_large"
    box.stop()
    box.write_config(limits={"min_free_mb": 1})
    box.start()
    done = subprocess.run(
        [sys.executable, "-m", "edge_matting", "retry", "--failed", "--url", box.url() or ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert box.wait_finished(1)["succeeded"] == 1
    assert files(box.failed) == []
    assert files(box.done) == ["large.jpg"]


def test_a_second_appliance_on_the_same_state_dir_is_refused_naming_the_first(appliance):
    box = appliance().start()
    assert box.process is not None
    second = box.refused()
    assert second.returncode == 2
    assert str(box.process.pid) in second.stderr
    assert "state" in second.stderr


def test_reload_takes_a_good_configuration_and_keeps_the_old_one_for_a_bad_one(appliance):
    box = appliance().start()
    box.write_config(intake={"settle_second": 1})
    assert box.process is not None
    box.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "did you mean settle_seconds?" in box.log(), "word of the fault")
    box.write_config(
        intake={"settle_seconds": 0.3, "rescan_seconds": 2.0},
        hot_folders=[{"path": "hot"}, {"path": "second"}],
    )
    box.process.send_signal(signal.SIGHUP)
    wait_for((box.root / "second" / "in").is_dir, "the second folder")
    box.wait_ready()
    (box.root / "second" / "in" / "a.jpg").write_bytes(PHOTO.read_bytes())
    box.wait_finished(1)
    assert files(box.root / "second" / "out") == ["a.json", "a.png"]
    assert box.stop() == 0


def test_a_known_folder_that_is_missing_at_the_start_is_waited_for_not_made_anew(appliance):
    box = appliance().start()
    box.drop("a.jpg")
    box.wait_finished(1)
    box.stop()
    unmounted = box.root / "unmounted"
    box.folder.rename(unmounted)
    box.start(ready=False)
    wait_for(lambda: "is not there; mount it" in " ".join(box.readiness() or []), "the reason")
    assert not box.folder.exists()
    unmounted.rename(box.folder)
    box.wait_ready()
    box.drop("b.jpg")
    assert box.wait_finished(2)["succeeded"] == 2


def test_a_damaged_ledger_is_kept_and_its_results_are_not_overwritten(appliance):
    box = appliance().start()
    box.drop("sub/a.jpg")
    box.wait_finished(1)
    box.stop()
    path = box.state_dir / "ledger.sqlite"
    path.write_bytes(path.read_bytes()[:5000] + b"\xff" * 20000)
    first = (box.outbox / "sub" / "a.png").read_bytes()
    box.start()
    assert "kept as" in box.log()
    assert list(box.state_dir.glob("ledger.sqlite.corrupt-*"))
    rgb = cv2.imread(str(PHOTO))
    box.drop("sub/a.png", cv2.imencode(".png", rgb)[1].tobytes())
    box.wait_finished(1)
    assert (box.outbox / "sub" / "a.png").read_bytes() == first
    assert (box.outbox / "sub" / "a~png.png").exists()
    assert box.check() == []
