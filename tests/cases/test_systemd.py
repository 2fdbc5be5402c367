"""The unit file, as systemd itself reads it, and the messages to systemd."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fakes import ManualClock

from edge_matting.cli import bundle, doctor_service
from edge_matting.cli.main import main
from edge_matting.config import HotFolder, Settings
from edge_matting.config.settings import StatusSettings
from edge_matting.daemon.sd_notify import SystemdNotifier, SystemdStatus
from edge_matting.engine.main import OOM_SCORE_ADJUST
from edge_matting.status.security import read_token
from tools.soak.plot import plot
from tools.soak.reference import constant_page
from tools.soak.verdict import Rule, Sample, at_work, judge
from tools.trial.nspawn import why_not_here
from tools.unit_dropins import device_dropin, folders_dropin, kind_of_device
from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "edge-matting.service"
DEVICES = ("cpu", "nvidia", "jetson")

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


@pytest.fixture(params=["", *DEVICES])
def unit_root(request, tmp_path):
    """A root with the unit, its drop-ins, and stand-ins for what they name."""
    root = tmp_path / "root"
    units = root / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for program in ("opt/edge-matting/current/bin/edge-matting", "bin/kill"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    names = ("local-fs.target", "multi-user.target", "sysinit.target", "basic.target")
    for name in (*names, "modprobe@nvidia_uvm.service"):
        stand_in = "[Service]\nExecStart=/bin/kill\n" if name.endswith("service") else ""
        (units / name).write_text(f"[Unit]\nDescription=stand-in\n{stand_in}")
    (units / "-.mount").write_text("[Unit]\nDescription=stand-in\n[Mount]\nWhat=x\nWhere=/\n")
    (units / UNIT.name).write_text(UNIT.read_text())
    if request.param:
        folder = units / f"{UNIT.name}.d"
        folder.mkdir()
        (folder / "10-device.conf").write_text(
            (ROOT / "systemd" / "devices" / f"{request.param}.conf").read_text()
        )
        settings = Settings(hot_folders=(HotFolder(path=Path("/srv/two words")),))
        (folder / "20-folders.conf").write_text(folders_dropin(settings))
    return root


@analyze
def test_the_unit_and_its_drop_ins_are_read_without_a_word(unit_root):
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={unit_root}", "--man=no", UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "edge-matting" in line]
    assert ours == [], done.stderr


@analyze
def test_the_unit_is_locked_down_and_the_drop_ins_open_no_more_than_a_gpu_needs(unit_root):
    done = subprocess.run(
        [
            *("systemd-analyze", "security", f"--root={unit_root}", "--offline=true"),
            *("--threshold=20", "--no-pager", UNIT.name),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


class Listener:
    """systemd's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)
        self.heard: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def hears(self, line: str) -> bool:
        while line not in self.heard:
            self.heard += self._socket.recv(4096).decode().splitlines()
        return True


def test_without_systemd_nothing_is_sent():
    notifier = SystemdNotifier({})
    notifier.send("READY=1")
    notifier.status("idle")
    assert notifier.watchdog_seconds is None


def test_a_watchdog_meant_for_another_process_is_not_fed():
    assert (
        SystemdNotifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    )
    assert SystemdNotifier({"WATCHDOG_USEC": "2000000"}).watchdog_seconds == 2.0


def test_the_running_appliance_says_ready_status_watchdog_and_stopping(
    appliance, tmp_path, monkeypatch
):
    with closing(Listener(tmp_path / "notify")) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        box = appliance().start()
        assert systemd.hears("READY=1")
        assert "EXTEND_TIMEOUT_USEC=60000000" in systemd.heard
        assert systemd.hears("WATCHDOG=1")
        score = Path(f"/proc/{box.engine_pid()}/oom_score_adj")
        assert int(score.read_text()) >= OOM_SCORE_ADJUST
        box.drop("a.jpg")
        box.wait_finished(1)
        assert wait_for(lambda: systemd.hears("STATUS=idle: 0 waiting"), "the status line")
        assert box.stop() == 0
        assert systemd.hears("STOPPING=1")


class Recorder(SystemdNotifier):
    """Keeps what systemd would have been told."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "60000000"})
        self.sent: list[str] = []

    def send(self, *lines: str) -> None:
        self.sent += lines

    def taken(self) -> list[str]:
        sent, self.sent = self.sent, []
        return sent


def test_a_start_that_comes_up_asks_for_time_and_one_that_dies_again_and_again_does_not():
    clock, systemd = ManualClock(), Recorder()
    life = SystemdStatus(systemd, clock.monotonic)
    life.tell("starting", ready=False, coming_up=True)
    assert systemd.taken() == ["STATUS=starting", "EXTEND_TIMEOUT_USEC=60000000"]
    life.tell("starting", ready=False, coming_up=True)
    assert systemd.taken() == []
    clock.time += 20
    life.tell("starting", ready=False, coming_up=False)
    assert systemd.taken() == []
    life.tell("starting", ready=False, coming_up=True)
    assert systemd.taken() == ["EXTEND_TIMEOUT_USEC=60000000"]


def test_the_watchdog_is_fed_at_half_its_period_and_starves_when_replacing_engines_is_hopeless():
    clock, systemd = ManualClock(), Recorder()
    life = SystemdStatus(systemd, clock.monotonic)
    life.tell("idle", ready=True, coming_up=True)
    assert systemd.taken() == ["READY=1", "STATUS=idle", "WATCHDOG=1"]
    clock.time += 29
    life.tell("idle", ready=True, coming_up=True)
    assert systemd.taken() == []
    clock.time += 2
    life.tell("idle", ready=False, coming_up=False)
    assert systemd.taken() == ["WATCHDOG=1"]
    clock.time += 60
    life.tell("stuck", ready=False, coming_up=True, hopeless=True)
    assert systemd.taken() == ["STATUS=stuck"]
    life.stopping()
    assert systemd.taken() == ["STOPPING=1"]


def test_the_token_comes_as_a_credential_where_the_file_is_roots(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text("a credential of systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert read_token(tmp_path / "roots" / "token", environ) == "a credential of systemd"
    (tmp_path / "other").write_text("the file's own content")
    assert read_token(tmp_path / "other", environ) == "the file's own content"


def test_the_device_drop_in_is_made_from_what_the_machine_has(tmp_path):
    assert kind_of_device(tmp_path) == "cpu"
    assert "DeviceAllow" not in device_dropin(tmp_path, ["video"])
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").write_text("no device, and so not allowed")
    (tmp_path / "dev" / "nvidia0").symlink_to("/dev/null")
    assert kind_of_device(tmp_path) == "nvidia"
    text = device_dropin(tmp_path, ["video"])
    assert "DeviceAllow=/dev/nvidia0 rw" in text
    assert "nvidiactl rw" not in text
    assert "SupplementaryGroups=video\n" in text
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"nvidia,p3768-0000+p3767-0005-super\0nvidia,tegra234\0")
    (tmp_path / "dev" / "nvmap").symlink_to("/dev/null")
    assert kind_of_device(tmp_path) == "jetson"
    text = device_dropin(tmp_path, [])
    assert "DeviceAllow=/dev/nvmap rw" in text
    assert "SupplementaryGroups" not in text


def test_the_folders_drop_in_opens_what_the_configuration_names_and_nothing_else(tmp_path):
    token = tmp_path / "token"
    token.write_text("x" * 20)
    settings = Settings(
        hot_folders=(
            HotFolder(path=Path("/srv/edge-matting")),
            HotFolder(path=Path("/home/ann/100 % photos"), out=Path("/mnt/out")),
        ),
        status=StatusSettings(host="0.0.0.0", token_file=token),
    )
    lines = folders_dropin(settings).splitlines()
    assert 'RequiresMountsFor="/home/ann/100 %% photos"' in lines
    assert "ReadWritePaths=-/mnt/out" in lines
    assert "ReadWritePaths=-/var/lib/edge-matting" in lines
    assert "ProtectHome=tmpfs" in lines
    assert 'BindPaths="-/home/ann/100 %% photos"' in lines
    assert any(line.startswith("IPAddressAllow=link-local 10.0.0.0/8") for line in lines)
    assert f"LoadCredential=token:{token}" in lines
    plain = folders_dropin(Settings())
    for word in ("ProtectHome", "IPAddressAllow", "LoadCredential"):
        assert word not in plain


def a_systemctl_that_says(folder, monkeypatch, **properties):
    """A stand-in for systemctl, first in the path."""
    folder.mkdir()
    program = folder / "systemctl"
    lines = "\n".join(f"{name}={value}" for name, value in properties.items())
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(doctor_service, "SYSTEMD_RUNS", folder)


DOWN = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "NRestarts": "20"}


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"Result": "exit-code", "ExecMainStatus": "2"}, "systemd does not try again"),
        ({"Result": "exit-code", "ExecMainStatus": "226"}, "install.sh dropins"),
        ({"Result": "exit-code", "ExecMainStatus": "99"}, "journalctl -u edge-matting shows more"),
        ({"Result": "watchdog", "ExecMainStatus": "6"}, "the watchdog ended it"),
        ({"Result": "start-limit-hit", "ExecMainStatus": "1"}, "systemctl reset-failed"),
        ({"Result": "timeout", "ExecMainStatus": "0"}, "was not ready in time"),
        ({"Result": "success", "ExecMainStatus": "0"}, "is stopped: sudo systemctl start"),
        ({"ActiveState": "activating", "SubState": "start"}, "is starting"),
        ({"LoadState": "not-found"}, "the appliance is run by hand"),
        ({"ActiveState": "active"}, "runs, restarted 20 times"),
        ({"Result": "something new", "ExecMainStatus": ""}, "something new"),
    ],
)
def test_the_doctor_says_why_the_service_is_down(tmp_path, monkeypatch, properties, told):
    a_systemctl_that_says(tmp_path / "bin", monkeypatch, **{**DOWN, **properties})
    (finding,) = doctor_service.service(Settings())
    assert told in finding.found
    assert finding.well == (told.startswith(("runs", "the appliance")))


def test_the_doctor_names_a_hot_folder_that_the_unit_keeps_closed(tmp_path, monkeypatch):
    a_systemctl_that_says(
        tmp_path / "bin",
        monkeypatch,
        LoadState="loaded",
        ReadWritePaths="-/srv/edge-matting",
        StateDirectory="edge-matting",
    )
    shut = HotFolder(path=Path("/srv/edge-matting"), out=Path("/mnt/results"))
    (finding,) = doctor_service.unit_folders(Settings(hot_folders=(shut,)))
    assert finding.what == "unit and /mnt/results"
    assert "install.sh dropins" in finding.found
    assert list(doctor_service.unit_folders(Settings())) == []


def test_the_doctor_names_who_has_the_page_and_what_it_says(appliance, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        (finding,) = doctor_service.page(Settings(status=StatusSettings(port=port)))
        assert finding.well
        assert "no answer" in finding.found.lower() or "answer" in finding.found
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0)
        port = taken.getsockname()[1]
        taken.listen(0)
        problem = doctor_service.port_problem("127.0.0.1", port)
        assert "set status.port" in problem
    box = appliance().start()
    port = int(box.url().rpartition(":")[2])
    (finding,) = doctor_service.page(Settings(status=StatusSettings(port=port)))
    assert (finding.well, finding.found) == (True, f"http://127.0.0.1:{port} answers")
    short = tmp_path / "token"
    short.write_text("short")
    first, *_ = doctor_service.page(Settings(status=StatusSettings(port=port, token_file=short)))
    assert first.what == "token"


def test_without_systemd_the_doctor_has_nothing_to_say_of_a_service(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_service, "SYSTEMD_RUNS", tmp_path / "none")
    assert list(doctor_service.service(Settings())) == []
    assert list(doctor_service.unit_folders(Settings())) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask for another user")
def test_the_doctor_asks_for_the_rights_of_the_services_user_not_of_root(tmp_path, monkeypatch):
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(doctor_service.pwd, "getpwnam", lambda _name: nobody)
    hot = HotFolder(path=tmp_path / "not made yet")
    assert list(doctor_service.service_user(Settings(hot_folders=(hot,), state_dir=OPEN))) == []
    (tmp_path / "state").mkdir(mode=0o700)
    closed = Settings(hot_folders=(hot,), state_dir=tmp_path / "state")
    (finding,) = doctor_service.service_user(closed)
    assert finding.found.startswith("nobody may not write there: chown")
    monkeypatch.setattr(doctor_service.pwd, "getpwnam", nobody_is_known)
    assert list(doctor_service.service_user(closed)) == []


OPEN = Path("/tmp")


def nobody_is_known(_name):
    raise KeyError


def test_a_program_that_is_missing_or_hangs_is_a_line_in_the_bundle(monkeypatch):
    assert bundle._said(["no-such-program"]) == "no-such-program is not on this machine\n"
    monkeypatch.setattr(bundle, "COMMAND_SECONDS", 0.1)
    assert bundle._said(["sleep", "5"]) == "sleep 5 did not end within 0.1 s\n"


def test_the_bundle_holds_what_a_helper_needs_and_is_for_its_owner_alone(
    appliance, tmp_path, capsys
):
    token = tmp_path / "token"
    token.write_text("not to be told to anybody\n")
    box = appliance(status={"port": 0, "token_file": str(token)}).start()
    box.drop("a.jpg")
    box.wait_finished(1)
    packed = tmp_path / "bundle.tar.gz"
    main(["doctor", "-c", str(box.config_path), "--bundle", str(packed)])
    assert "The log in it names photos" in capsys.readouterr().out
    assert packed.stat().st_mode & 0o777 == 0o600
    with tarfile.open(packed) as archive:
        texts = {
            Path(entry.name).name: archive.extractfile(entry).read().decode() for entry in archive
        }
    assert not any("not to be told" in text for text in texts.values())
    assert json.loads(texts["ledger.json"])["counts"]["succeeded"] == 1
    assert json.loads(texts["ledger.json"])["broken_rules"] == []
    assert json.loads(texts["config.json"])["limits"]["min_free_mb"] == 1
    assert json.loads(texts["profile.json"])["profile"]["machine"]
    assert "ledger: 1 jobs, consistent" in texts["doctor.txt"]
    assert "numpy==" in texts["packages.txt"]


def test_a_bundle_is_made_of_a_broken_configuration_too(tmp_path, capsys):
    config = tmp_path / "bad.yaml"
    config.write_text("state_dri: nowhere\n")
    packed = tmp_path / "bundle.tar.gz"
    assert main(["doctor", "-c", str(config), "--bundle", str(packed)]) == 2
    with tarfile.open(packed) as archive:
        (doctor,) = [entry for entry in archive if entry.name.endswith("doctor.txt")]
        text = archive.extractfile(doctor).read().decode()
    assert text.startswith("FAIL configuration: state_dri: unknown key")
    assert main(["doctor", "-c", str(config)]) == 2


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_installed_service_holds_on_a_real_systemd(tmp_path):
    reason = why_not_here()
    if reason is not None:
        pytest.skip(f"no container can be booted here: {reason}")
    done = subprocess.run(
        [sys.executable, "-m", "tools.trial", "--kills", "3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "trial: HELD" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_arm64_wheels_install_and_cut_out_a_photo(tmp_path):
    done = subprocess.run(
        [ROOT / "tools" / "arm64_trial.sh", tmp_path / "debian", tmp_path / "wheels"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if "arm64 trial: SKIPPED" in done.stdout:
        pytest.skip(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout
    assert "arm64 trial: HELD" in done.stdout


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_the_shell_scripts_are_clean():
    scripts = sorted((ROOT / "tools").glob("*.sh"))
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all("set -euo pipefail" in script.read_text() for script in scripts)


def life(pid, values, first_photo=0, *, reading="engine memory"):
    """One sample a hundred photos."""
    return [
        Sample(float(index), first_photo + index * 100, {reading: value}, {"engine": pid})
        for index, value in enumerate(values)
    ]


MEMORY = Rule("engine memory", "MB", 1.0, "engine")


def test_a_leak_is_found_though_restarts_hide_it():
    leak = [100 + 0.3 * index for index in range(40)]
    (finding,) = judge(life(1, leak) + life(2, leak, 4000), [MEMORY])
    assert finding.grows
    assert finding.lives == 2
    assert finding.slope == pytest.approx(3.0)
    assert str(finding).startswith("GROWS  engine memory: +3.0000")


def test_a_higher_level_after_a_restart_and_a_warm_up_are_no_leak():
    warm_up = [50.0, 60, 70, 80, 90]
    steady = [100.0 + index % 2 for index in range(40)]
    higher = [200.0 + index % 2 for index in range(40)]
    (finding,) = judge(life(1, warm_up + steady) + life(2, warm_up + higher, 4500), [MEMORY])
    assert not finding.grows
    assert finding.slope == pytest.approx(0, abs=0.1)


def test_too_few_samples_are_no_verdict_and_a_share_is_of_the_mean():
    (finding,) = judge(life(1, [1.0] * 5), [MEMORY])
    assert not finding.judged
    assert str(finding).startswith("TOO FEW SAMPLES")
    slower = [10 + 0.1 * index for index in range(40)]
    rule = Rule("latency", "of its mean", 0.01, relative=True)
    (finding,) = judge(life(1, slower, reading="latency"), [rule])
    assert finding.grows
    assert finding.slope == pytest.approx(1 / 12.2, rel=0.01)


def test_a_soak_is_judged_by_the_time_of_work_and_beside_what_never_changes():
    samples = [Sample(float(index), min(index, 6) * 100, {}) for index in range(10)]
    assert [sample.photos for sample in at_work(samples)] == [0, 100, 200, 300, 400, 500]
    with constant_page() as seconds:
        assert 0 < seconds() < 10


def test_the_soaks_drawing_has_a_panel_for_each_reading_and_is_xml():
    samples = life(1, [1.0, 2.0, 3.0]) + life(1, [5.0, 6.0], reading="a < b")
    drawing = ET.fromstring(plot(samples, "3 & 2"))
    assert len(drawing.findall(".//{*}polyline")) == 2
    assert [text.text for text in drawing.findall("{*}text")] == ["3 & 2"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_short_soak(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tools.soak", "--images", "600", "--minutes", "1"),
            *("--into", tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "soak: 0 broken invariants" in done.stdout, done.stdout
    assert (tmp_path / "soak.svg").stat().st_size > 1000
