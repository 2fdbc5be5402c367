"""The whole appliance at its first start on a device."""

from __future__ import annotations

import shutil

from harness import PHOTO

from tools.waiting import wait_for


def reasons(box) -> str:
    return " ".join(box.status()["plan"]["reasons"])


def test_the_first_start_is_ready_unmeasured_and_plans_anew_in_a_quiet_moment(appliance):
    box = appliance(device={"measure": "auto"})
    box.start()
    assert "not measured on this device" in reasons(box)
    wait_for(lambda: "measured here at" in reasons(box), "measured plan")
    shutil.copy(PHOTO, box.inbox / "a.jpg")
    wait_for((box.outbox / "a.json").exists, "cut-out by the new plan")
    assert list((box.state_dir / "measurements").iterdir())
    assert box.stop() == 0
    box.start()
    assert "measured here at" in reasons(box)
    assert box.stop() == 0
