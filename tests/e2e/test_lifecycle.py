"""A guest's life: saved and resumed as the same guest, ended in every way, and told as it was."""
import json
import os
import re
import signal
import time

import pytest

from lab.guest import Marks
from lab.wait import BOOT, SOON, eventually, gone


# Save and resume


def test_the_same_guest_goes_on(booted, count):
    marks = Marks(booted)
    for n in range(count(3, 20)):
        assert "saved" in booted.stop().stdout
        status = booted.status()
        assert (status["state"], status["ended"], status["saved"]) == ("stopped", "saved", True)
        assert "resumed" in booted.start().stdout, f"round {n}"
        assert booted.status()["boot"] == "resumed"
        marks.check()


def test_a_saved_state_is_used_once(vm):
    first = vm.boot_id()
    vm.stop()
    vm.start()
    vm.halt()
    assert vm.status()["saved"] is False
    assert "cold boot" in vm.start().stdout
    assert vm.boot_id() != first


def test_what_the_guest_wrote_last_is_there_after_a_save(vm):
    vm.sh("echo unsynced >/data/last")
    vm.stop()
    vm.start()
    assert vm.sh("cat /data/last") == "unsynced"


def test_the_guests_clock_is_right_after_a_save(vm):
    vm.stop()
    saved = os.stat(vm.dir / "SaveFile.vzvmsave").st_mtime
    eventually(lambda: time.time() > saved + 3, what="three seconds at rest")
    vm.start()
    before = time.time()
    told = int(vm.sh("date +%s"))
    assert before - 2.5 < told < time.time() + 2.5


def test_stop_without_sync_is_a_save_too(vm):
    marks = Marks(vm)
    vm.stop("--no-sync")
    vm.start()
    marks.check()


def test_stop_without_wait_returns_early_and_saves_all_the_same(vm):
    boot_id = vm.boot_id()
    vm.stop("--no-wait")
    assert vm.at_rest() == "saved"
    vm.start()
    assert vm.boot_id() == boot_id


def test_a_discarded_state_is_gone(vm):
    first = vm.boot_id()
    vm.stop()
    out = vm.start("--discard-state").stdout
    assert "cold boot" in out and "discarded" in out
    assert vm.boot_id() != first
    assert not vm.saved_files


def test_stop_and_halt_of_what_does_not_run_succeed_and_say_so(tm, vm):
    never_ran = tm.vm("b").create()
    for command in (never_ran.stop, never_ran.halt):
        assert "not running" in command().stdout
    vm.stop()
    for command in (vm.stop, vm.halt):
        done = command()
        assert "not running" in done.stdout and "saved" in done.stdout
    assert vm.status()["saved"] is True, "halt of a saved VM must not lose its state"


def test_several_stops_at_once_all_say_saved(tm, vm):
    vm.let_go()
    stops = [tm.spawn("stop", "--id", vm.id) for _ in range(4)]
    for stop in stops:
        code = stop.wait(BOOT)
        # Whoever comes while it saves may be told that it is busy, never that it failed.
        assert code in (0, 5), stop.err
    assert vm.at_rest() == "saved"


def test_a_second_run_is_refused(vm):
    pid = vm.status()["pid"]
    vm.fail(5, "run", "--headless")
    assert vm.status()["pid"] == pid


def test_runs_at_once_start_one(tm, server):
    vm = tm.vm("a").create()
    runs = [tm.spawn("run", "--id", vm.id, "--headless") for _ in range(4)]
    codes = sorted(run.wait(BOOT) for run in runs)
    assert codes == [0, 5, 5, 5]


# Copies of a saved guest


def test_a_copied_directory_with_the_old_few_keys_resumes_as_itself(tm, server, vm):
    marks = Marks(vm)
    vm.stop()
    copy = vm.copy_to("b")
    copy.write_config({"vmID": copy.id, "serverSocket": tm.world.sock("net"),
                       "memorySize": vm.config["memorySize"], "mac": "52:cc:cc:cc:cc:08"})
    since = server.mark()
    assert "resumed" in copy.start().stdout
    server.wait_from("52:cc:cc:cc:cc:08", since=since)
    copy.until_nics({"52:cc:cc:cc:cc:08": True})
    assert copy.boot_id() == marks.boot_id
    assert copy.sh("cat /data/mark") == marks.word
    copy.wait("ip")
    server.ping("192.168.77.108")
    # The old MAC never speaks from the copy's socket.
    assert not [s for s in server.frames[since:] if s.src == "52:cc:cc:cc:cc:07"]


def test_two_clones_of_one_saved_guest_run_at_once(tm, server, vm):
    boot_id = vm.boot_id()
    vm.wait("ip")
    vm.stop()
    since = server.mark()
    clones = {"52:cc:cc:cc:cc:08": tm.vm("b"), "52:cc:cc:cc:cc:09": tm.vm("c")}
    for mac, clone in clones.items():
        tm.run("clone", "--id", vm.id, "--target-id", clone.id)
        clone.configure("--mac", mac)
        assert clone.status()["saved"] is True
    starts = [tm.spawn("run", "--id", clone.id, "--headless", "--wait", "ready")
              for clone in clones.values()]
    for start in starts:
        assert start.wait(2 * BOOT) == 0, start.err
    for mac, clone in clones.items():
        assert clone.boot_id() == boot_id
        clone.until_nics({mac: True})
        seen = server.wait_from(mac, since=since)
        assert seen.peer == clone.nic_socket
    for ip in ("192.168.77.108", "192.168.77.109"):
        server.ping(ip)
    vm.start()  # the origin still has its state
    assert vm.boot_id() == boot_id


# The guest ends by itself


def test_poweroff_is_a_shutdown(vm):
    vm.shell().greet()
    vm.shell().type("poweroff\n")
    assert vm.at_rest() == "shutdown"
    assert vm.status()["saved"] is False
    assert "cold boot" in vm.start(wait="running").stdout


def test_reboot_keeps_the_vm_running(vm):
    first, pid = vm.boot_id(), vm.status()["pid"]
    vm.sh("echo kept >/data/kept")
    vm.shell().type("reboot\n")
    eventually(lambda: "the guest reboots" in vm.host_log, BOOT, "a reboot")
    vm.wait("ready")
    vm.let_go()
    assert vm.boot_id() != first
    assert vm.status()["pid"] == pid
    assert vm.sh("cat /data/kept") == "kept"
    vm.wait("ip")


def test_a_panic_is_told_not_saved_and_can_be_halted(vm):
    vm.shell().greet()
    vm.shell().type("echo c >/proc/sysrq-trigger\n")
    status = vm.until("state", "panicked")
    assert status["reason"]
    assert "panicked" in vm.fail(1, "stop")
    assert vm.state == "panicked"
    vm.fail(1, "wait", "--for", "running", "--timeout", "60")
    vm.halt()
    assert vm.at_rest() == "halted"
    vm.start()


# Processes end


def test_a_killed_host_takes_its_engine_along_and_is_told(vm):
    first, status = vm.boot_id(), vm.status()
    os.kill(status["pid"], signal.SIGKILL)
    assert gone(status["engine_pid"], SOON), "the engine outlived its Host"
    assert vm.at_rest() == "killed"
    assert "not running" in vm.stop().stdout
    out = vm.start().stdout
    assert "cold boot" in out and "killed" in out
    assert vm.boot_id() != first


def test_a_killed_engine_is_reported_with_its_exit_status(vm):
    status = vm.status()
    os.kill(status["engine_pid"], signal.SIGKILL)
    assert gone(status["pid"], SOON), "Host outlived its engine"
    assert vm.at_rest() == "failed"
    assert re.search(r"signal 9|[Kk]illed", vm.status()["reason"])
    vm.start()


def test_an_engine_killed_during_a_stop_makes_it_fail(tm, vm):
    engine = vm.status()["engine_pid"]
    os.kill(engine, signal.SIGSTOP)
    stop = tm.spawn("stop", "--id", vm.id)
    eventually(lambda: "state: saving" in vm.host_log, what="a save under way")
    os.kill(engine, signal.SIGKILL)
    assert stop.wait(BOOT) == 1, stop.out + stop.err
    assert len(stop.err.splitlines()) == 1 and stop.err.startswith("tailmac: ")
    assert vm.at_rest() == "failed"
    assert vm.status()["saved"] is False


def test_an_engine_that_hangs_can_be_halted(vm):
    status = vm.status()
    os.kill(status["engine_pid"], signal.SIGSTOP)
    vm.halt()
    assert vm.at_rest() == "halted"
    assert gone(status["engine_pid"], SOON)


def test_interrupt_saves_and_ends_with_0(saved_vm, server):
    vm = saved_vm("a")
    host = vm.host()
    vm.until_ready(host)
    boot_id = vm.boot_id()
    vm.let_go()
    host.interrupt()
    assert host.wait(BOOT) == 0
    assert vm.at_rest() == "saved"
    again = vm.host()
    vm.until_ready(again)
    assert vm.status()["boot"] == "resumed"
    assert vm.boot_id() == boot_id
    vm.let_go()
    again.signal(signal.SIGTERM)
    assert again.wait(BOOT) == 0
    assert vm.at_rest() == "halted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_at_any_time_of_the_start_end_it_cleanly(tm, server, number, count, rng):
    vm = tm.vm("a").create()
    for _ in range(count(4, 100)):
        host = vm.host()
        host.ends_within(rng.uniform(0, 3))
        host.signal(number)
        assert host.wait(BOOT) in (0, 130, -number), host.err
        assert vm.status()["state"] == "stopped"
    vm.start()


def test_a_closed_terminal_does_not_end_a_vm_in_the_background(tm, server, saved_vm):
    """`run` starts Host in a session of its own: ^C and hang-up of the shell do not reach it."""
    vm = saved_vm("a")
    run = tm.spawn("run", "--id", vm.id, "--headless", "--wait", "ready", "--tail")
    vm.until_ready(run)
    host = vm.status()["pid"]
    assert os.getsid(host) != os.getsid(run.pid)
    run.interrupt()
    assert run.wait(SOON) in (0, 130)
    assert vm.state == "running"


def test_logs_are_followed(tm, vm):
    follower = tm.spawn("logs", "--id", vm.id, "-f")
    follower.expect("state: running")
    vm.stop()
    follower.expect("state: saving", BOOT)


# Asking and waiting


def test_status_is_whole(booted):
    status = booted.status()
    for key in ("id", "state", "boot", "pid", "engine_pid", "engine", "started", "control",
                "console", "nics", "agent", "mac", "serverSocket", "memorySize"):
        assert key in status, key
    assert status["id"] == booted.id and status["state"] == "running" and status["boot"] == "cold"
    assert os.path.exists(status["control"]) and os.path.exists(status["console"])
    assert os.stat(status["control"]).st_mode & 0o777 == 0o600
    assert status["agent"]["hostname"] == "tiny"
    (nic,) = status["nics"]
    assert (nic["role"], nic["mac"]) == ("socket", booted.config["mac"])
    assert (nic["path"], nic["server"]) == (booted.nic_socket, booted.config["serverSocket"])
    assert os.readlink(f"/proc/{status['engine_pid']}/exe").rpartition("/")[2].startswith("qemu-system")


def test_ps_lists_what_runs(tm, vm):
    other = tm.vm("b").create()
    assert set(tm.ids()) == {vm.id, other.id}
    assert [v["id"] for v in tm.json("ps")] == [vm.id]


def test_waits_time_out_and_end(tm, server, saved_vm):
    vm = saved_vm("a")
    vm.fail(6, "wait", "--for", "ready")
    assert vm.wait("stopped").returncode == 0
    vm.start()
    vm.fail(7, "wait", "--for", "stopped", "--timeout", "0.2")
    waiting = tm.spawn("wait", "--id", vm.id, "--for", "stopped")
    vm.halt()
    assert waiting.wait(SOON) == 0


def test_a_start_that_takes_too_long_times_out(tm, server):
    vm = tm.vm("a").create("--cmdline", "console=ttyS0 init=/bin/false panic=0 break")
    vm.fail(7, "run", "--headless", "--wait", "ready", "--timeout", "0.5")


def test_pause_and_resume(tm, vm):
    ticks = "cut -d' ' -f1 /proc/uptime"
    before = float(vm.sh(ticks))
    tm.run("pause", "--id", vm.id)
    assert vm.state == "paused"
    with pytest.raises(AssertionError, match="on the console within 1 s"):
        vm.shell().run("true", timeout=1)
    tm.run("resume", "--id", vm.id)
    assert vm.state == "running"
    assert float(vm.sh(ticks)) >= before


def test_the_console_takes_several_and_keeps_a_log(vm):
    with vm.console() as one, vm.console() as two:
        assert one.sh("echo from-one") == "from-one"
        two.expect("from-one")
        assert two.sh("echo from-two") == "from-two"
    log = (vm.dir / "console.log").read_text(errors="replace")
    assert "from-one" in log and "from-two" in log


# Full disks


def test_a_save_on_a_full_disk_leaves_the_guest_running(confined, server, saved):
    tm = confined("400m")
    vm = saved.copy(tm, "a")
    vm.start()
    marks = Marks(vm)
    ballast = tm.place.fill(leave=8 << 20)
    message = vm.fail(8, "stop")
    assert "space" in message
    assert vm.state == "running"
    assert not vm.saved_files
    marks.check()
    tm.place.run("rm", ballast)
    vm.stop()
    vm.start()
    marks.check()


def test_a_disk_full_while_running_is_a_state_of_its_own(confined, server, saved):
    tm = confined("400m")
    vm = saved.copy(tm, "a")
    vm.start()
    boot_id = vm.boot_id()
    ballast = tm.place.fill(leave=1 << 20)
    vm.shell().type("dd if=/dev/urandom of=/data/big bs=1M count=16 && sync && echo all-written\n")
    status = vm.until("state", "io-error")
    assert status["reason"]
    tm.fail(1, "wait", "--id", vm.id, "--for", "ready", "--timeout", "10")
    tm.place.run("rm", ballast)
    tm.run("resume", "--id", vm.id)
    vm.shell().expect(r"\nall-written|\rall-written")
    assert vm.state == "running"
    assert vm.boot_id() == boot_id


# A saved state that does not fit


def test_a_damaged_state_is_refused_and_kept(vm):
    vm.stop()
    state = next((vm.dir / "SaveFile.vzvmsave").glob("device.state*"))
    state.write_bytes(state.read_bytes()[:1000])
    vm.fail(1, "run", "--headless")
    assert vm.status()["saved"] is True
    assert "cold boot" in vm.start("--discard-state", wait="running").stdout


def test_a_disk_that_changed_is_refused_by_name(vm):
    vm.stop()
    with (vm.dir / "Disk.img").open("r+b") as disk:
        disk.seek(4096)
        disk.write(b"overwritten")
    assert "Disk.img" in vm.fail(1, "run", "--headless")
    assert vm.status()["saved"] is True


def test_the_manifest_tells_what_was_saved(vm):
    vm.stop()
    manifest = json.loads((vm.dir / "SaveFile.vzvmsave" / "manifest.json").read_text())
    assert manifest["nics"] == [{"role": "socket", "mac": vm.config["mac"]}]
    assert str(vm.tm.world.dir) not in json.dumps(manifest | {"config": None})


def test_memory_is_what_the_saved_guest_has(vm):
    vm.stop()
    vm.fail(5, "configure", "--mem", "512M")
    vm.configure("--mac", "52:cc:cc:cc:cc:09")
    vm.start()
    vm.until_nics({"52:cc:cc:cc:cc:09": True})
