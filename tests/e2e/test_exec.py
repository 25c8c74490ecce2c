"""Commands in the guest: their input, output and end are those of a local command, whatever happens
to the guest, to Host or to us meanwhile."""
import contextlib
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.wait import BOOT, SOON, eventually

MIB = 1 << 20


class Command:
    """`tailmac exec` in the foreground with pipes of its own, ended with the test."""

    def __init__(self, vm, *args, **options):
        self.world = vm.tm.world
        self.child = subprocess.Popen(vm.tm.argv("exec", "--id", vm.id, *args), env=self.world.env,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, **options)
        self.world.keep(self)

    def line(self):
        """The next line of its output, waited for."""
        assert select.select([self.child.stdout], [], [], BOOT)[0], "no output"
        return self.child.stdout.readline().decode().rstrip("\n")

    def end(self):
        """Its exit code, and what it said on standard error."""
        _, err = self.child.communicate(timeout=BOOT)
        return self.child.returncode, err.decode()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for end in (self.child.stdin, self.child.stdout, self.child.stderr):
            with contextlib.suppress(BrokenPipeError):
                end.close()


def run(vm, *args, data=b"", env=None, timeout=BOOT):
    return subprocess.run(vm.tm.argv("exec", "--id", vm.id, *args), input=data, capture_output=True,
                          env=env or vm.tm.world.env, timeout=timeout, check=False)


def sh(vm, script, *options, **more):
    return run(vm, *options, "--", "sh", "-c", script, **more)


def is_running(vm, pid):
    return sh(vm, f"kill -0 {pid}").returncode == 0


def until_gone(vm, pid):
    eventually(lambda: not is_running(vm, pid), what=f"the end of process {pid} in the guest")


# As if it ran here


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 1", 1), ("exit 42", 42),
                                          ("exit 255", 255), ("kill -TERM $$", 143),
                                          ("kill -KILL $$", 137)])
def test_the_exit_code_is_the_commands(vm, script, code):
    done = sh(vm, script)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_command_that_cannot_run_is_126_or_127(vm):
    done = run(vm, "--", "nonesuch", "x")
    assert (done.returncode, done.stderr) == (
        127, b"tailmac: cannot run nonesuch: No such file or directory\n")
    done = run(vm, "--", "/etc/passwd")
    assert (done.returncode, done.stderr) == (126, b"tailmac: cannot run /etc/passwd: Permission denied\n")


def test_output_and_errors_are_apart_and_arguments_arrive_as_they_are(vm):
    odd = ["", " ", "a\nb", "'\"$x\\", "-h", "--", "ü", "*"]
    done = sh(vm, "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    done = run(vm, "--", "sh", "-c", 'for a; do printf "%s|" "$a"; done', "sh", *odd)
    assert done.stdout.decode() == "|".join(odd) + "|"


def test_environment_directory_and_user(vm):
    done = sh(vm, 'echo "$A,$B"; pwd; id -u; echo $HOME $USER; echo $PATH', "--env", "A=1", "--env", "B=x=y ",
              "--cwd", "/tmp", "--user", "1234")
    assert done.stdout.decode().splitlines() == [
        "1,x=y ", "/tmp", "1234", "/ 1234", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert sh(vm, "id -un; pwd", "--user", "root").stdout == b"root\n/root\n"
    done = sh(vm, "true", "--user", "nobody-here")
    assert (done.returncode, done.stderr) == (1, b"tailmac: the guest has no user 'nobody-here'\n")
    done = sh(vm, "true", "--cwd", "/none")
    assert (done.returncode, done.stderr) == (126, b"tailmac: cannot enter /none: No such file or directory\n")


def test_wrong_usage_is_told(tm, vm):
    for args in ([], ["--env", "x", "--", "true"], ["--detach", "--tty", "--", "true"],
                 ["--wait", "1", "--", "true"]):
        assert "exec" in vm.fail(2, "exec", *args) or "--env" in vm.fail(2, "exec", *args)
    assert "too long" in vm.fail(2, "exec", "--", "echo", "x" * 70000)
    tm.fail(3, "exec", "--id", "none", "--", "true")
    vm.halt()
    vm.fail(6, "exec", "--", "true")


def test_bytes_arrive_whole_through_both_pipes_and_memory_stays_flat(vm, count, rng):
    size = count(64, 4096) * MIB
    host = vm.status()["pid"]
    command = Command(vm, "--", "cat")
    before, peak = memory(host), 0
    block = rng.randbytes(MIB)
    sent, got = hashlib.md5(), hashlib.md5()

    def feed():
        for i in range(size // MIB):
            part = block[i % 251:] + block[:i % 251]
            sent.update(part)
            command.child.stdin.write(part)
        command.child.stdin.close()
    feeder = threading.Thread(target=feed)
    feeder.start()
    total = 0
    while data := command.child.stdout.read(MIB):
        got.update(data)
        total += len(data)
        peak = max(peak, memory(host) - before, memory(command.child.pid) - 4096)
    feeder.join()
    assert command.child.wait(BOOT) == 0
    assert (total, got.hexdigest()) == (size, sent.hexdigest())
    assert peak < 4096, f"{peak} KiB more than at first"


def memory(pid):
    """KiB that are a process's own."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        found = re.search(r"RssAnon:\s+(\d+)", status.read())
    return int(found[1]) if found else 0


def test_many_at_once_and_one_that_nobody_reads(vm):
    n = 200
    stuck = Command(vm, "--", "cat", "/dev/zero")
    with ThreadPoolExecutor(n) as pool:
        for i, done in enumerate(pool.map(
                lambda i: sh(vm, f"cat; echo {i} >&2; exit {i % 100}", data=b"%d\n" % i), range(n))):
            assert (done.returncode, done.stdout, done.stderr) == (i % 100, b"%d\n" % i, b"%d\n" % i)
    assert stuck.child.poll() is None


def test_a_vm_without_a_nic_to_talk_to(saved_vm):
    vm = saved_vm("a")
    vm.start("--disconnected-nic")
    assert sh(vm, "cat", data=b"x").stdout == b"x"


def test_input_ends_in_the_guest_too(vm):
    done = sh(vm, "wc -c; read x; echo $?", data=b"12345")
    assert done.stdout.split() == [b"5", b"1"]


def test_input_that_nobody_reads_is_no_fault(vm):
    done = sh(vm, "exec <&-; sleep 0.2; exit 3", data=b"x" * 4 * MIB)
    assert done.returncode == 3


def test_input_that_waits_costs_host_nothing(vm):
    host = vm.status()["pid"]
    before = processor_time(host)
    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run(vm.tm.argv("exec", vm.id, "--", "sleep", "4"), env=vm.tm.world.env, stdin=zeros,
                              timeout=BOOT, check=False)
    assert done.returncode == 0
    assert processor_time(host) - before < 0.3


def processor_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_a_reader_that_leaves_ends_the_writer(vm):
    command = Command(vm, "--", "yes")
    command.line()
    command.child.stdout.close()
    assert command.child.wait(BOOT) == 128 + signal.SIGPIPE


def test_what_a_command_leaves_behind_does_not_hold_it_up(vm):
    done = sh(vm, "sleep 1000 & echo $!")
    pid = done.stdout.decode().strip()
    assert done.returncode == 0 and is_running(vm, pid)
    sh(vm, f"kill {pid}")


# Interrupted, timed out, killed


def test_an_interrupt_reaches_the_guest(vm):
    command = Command(vm, "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo set; while :; do sleep 0.1; done")
    assert command.line() == "set"
    command.child.send_signal(signal.SIGINT)
    assert command.line() == "caught"
    assert command.end()[0] == 9
    command = Command(vm, "--", "sh", "-c", "echo $$; exec sleep 1000")
    command.line()
    command.child.send_signal(signal.SIGTERM)
    assert command.end()[0] == 128 + signal.SIGTERM


def test_a_second_interrupt_ends_the_command_line(vm):
    command = Command(vm, "--", "sh", "-c", "trap '' INT; echo $$; while :; do sleep 0.1; done")
    pid = command.line()
    command.child.send_signal(signal.SIGINT)
    assert is_running(vm, pid)
    command.child.send_signal(signal.SIGINT)
    assert command.end() == (130, "tailmac: interrupted\n")
    until_gone(vm, pid)


def test_a_killed_shell_takes_its_jobs_along_but_no_daemon(vm):
    command = Command(vm, "--", "sh", "-m", "-c", "sleep 1000 & a=$!; sleep 1000 & b=$!; "
                      "setsid sh -c 'echo $$ >/tmp/daemon; exec sleep 1000' & "
                      "until [ -s /tmp/daemon ]; do sleep 0.1; done; echo $a $b $(cat /tmp/daemon); wait")
    first, second, daemon = command.line().split()
    command.child.kill()
    until_gone(vm, first)
    until_gone(vm, second)
    assert is_running(vm, daemon)
    sh(vm, f"kill {daemon}")


def test_a_timeout_is_7_and_kills_the_process_group(vm):
    begin = time.monotonic()
    command = Command(vm, "--timeout", "2", "--", "sh", "-c", "sleep 1000 & echo $! $$; wait")
    pids = command.line().split()
    code, err = command.end()
    assert code == 7 and "in time" in err
    assert 2 <= time.monotonic() - begin < 2 + SOON
    for pid in pids:
        until_gone(vm, pid)


def test_a_timeout_holds_though_our_output_is_not_read(vm):
    command = Command(vm, "--timeout", "2", "--", "yes")
    assert command.child.wait(SOON) == 7


def test_a_killed_command_line_takes_its_command_along(vm):
    command = Command(vm, "--", "sh", "-c", "sleep 1000 & echo $! $$; wait")
    pids = command.line().split()
    command.child.kill()
    for pid in pids:
        until_gone(vm, pid)


# A terminal


class Terminal:
    """`tailmac exec --tty` on a terminal of its own."""

    def __init__(self, vm, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            argv = vm.tm.argv("exec", "--id", vm.id, "--tty", *args)
            os.execve(argv[0], argv, {**vm.tm.world.env, "TERM": "vt100"})
        self.text = b""
        self.code = None
        vm.tm.world.keep(self)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, data):
        os.write(self.fd, data)

    def expect(self, pattern):
        while not (found := re.search(pattern, self.text)):
            assert select.select([self.fd], [], [], BOOT)[0], f"no {pattern}: {self.text}"
            self.text += os.read(self.fd, 65536)
        self.text = self.text[found.end():]
        return found

    def end(self):
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.fd)
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.end()


def test_a_terminal_has_keys_sizes_and_a_foreground(vm):
    terminal = Terminal(vm, "--", "sh", "-c", "PS1='guest> ' exec sh")
    terminal.expect(rb"guest> ")
    before = termios.tcgetattr(terminal.fd)
    terminal.resize(33, 99)
    terminal.type(b"stty size; echo $TERM\r")
    terminal.expect(rb"\n33 99\r\nvt100\r\n")
    terminal.type(b"sh -c 'echo rea\"\"dy; exec sleep 1000'\r")  # in the foreground by then
    terminal.expect(rb"\nready\r\n")
    terminal.type(b"\x03")
    terminal.expect(rb"\^C")
    terminal.expect(rb"guest> ")
    terminal.resize(44, 111)
    terminal.type(b"stty size; tty; exit 7\r")
    terminal.expect(rb"44 111\r\n/dev/pts/\d+\r\n")
    assert not before[3] & termios.ICANON
    assert terminal.end() == 7


def test_a_terminal_can_be_left_though_the_agent_hangs(vm):
    terminal = Terminal(vm, "--", "sh", "-c", "echo $$; PS1='guest> ' exec sh")
    pid = terminal.expect(rb"(\d+)\r\n")[1].decode()
    terminal.expect(rb"guest> ")
    terminal.type(b"echo ~.\r")
    terminal.expect(rb"\n~\.\r\n")
    terminal.type(b"~~.\r")
    terminal.expect(rb"~\.: not found")
    vm.sh("killall -STOP tailmac-agent")
    terminal.type(b"x\r~")
    terminal.type(b".")
    terminal.expect(rb"\r\ntailmac: left by ~\.\r\n")
    assert terminal.end() == 130
    vm.sh("killall -CONT tailmac-agent")
    until_gone(vm, pid)


def test_a_terminal_in_the_guest_for_a_pipe_here(vm):
    done = run(vm, "--tty", "--", "sh", "-c", "tty; cat", data=b"line\n")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [b"/dev/pts/0", b"line", b"line"]  # one is the echo


# Jobs


def test_a_job_is_left_running_and_waited_for_once(vm):
    job = vm.tm.run("exec", "--id", vm.id, "--detach", "--", "sh", "-c",
                    "until [ -e /tmp/go ]; do sleep 0.1; done; exit 5").stdout.strip()
    vm.fail(7, "exec", "--wait", job, "--timeout", "0.5")
    assert sh(vm, "touch /tmp/go").returncode == 0
    assert run(vm, "--wait", job).returncode == 5
    assert f"no job {job}" in vm.fail(1, "exec", "--wait", job)


def test_a_job_outlives_a_save(vm):
    job = vm.tm.run("exec", "--id", vm.id, "--detach", "--", "sh", "-c",
                    "until [ -e /tmp/go ]; do sleep 0.1; done; exit 6").stdout.strip()
    vm.stop()
    vm.start()
    sh(vm, "touch /tmp/go")
    assert run(vm, "--wait", job).returncode == 6


# The guest, its agent and Host


def test_a_save_ends_a_command_on_both_sides(vm):
    command = Command(vm, "--", "sh", "-c", "echo $$; while :; do echo x; sleep 0.1; done")
    pid = command.line()
    vm.stop()
    assert command.end() == (1, "tailmac: cut off by a save of the VM\n")
    vm.start()
    until_gone(vm, pid)


def test_a_reboot_and_a_halt_end_a_command(vm):
    command = Command(vm, "--", "sh", "-c", "echo x; sleep 1000")
    command.line()
    assert sh(vm, "echo b >/proc/sysrq-trigger").returncode == 1
    assert command.end() == (1, "tailmac: the guest rebooted\n")
    vm.wait("ready")
    command = Command(vm, "--", "sh", "-c", "echo up; sleep 1000")
    assert command.line() == "up"
    vm.halt()
    code, err = command.end()
    assert code in (1, 6) and err.startswith("tailmac: ")


def test_a_paused_vm_is_told_at_once(tm, vm):
    command = Command(vm, "--", "sh", "-c", "echo up; cat")
    assert command.line() == "up"
    tm.run("pause", "--id", vm.id)
    begin = time.monotonic()
    for args in (["exec", "--", "true"], ["exec", "--tty", "--", "true"], ["exec", "--detach", "--", "true"],
                 ["exec", "--wait", "1"], ["ip", "--v6", "--nic", "mac", "--wait", "60"]):
        assert "is paused" in vm.fail(5, *args)
    assert "is paused" in vm.fail(5, "stop", "--shutdown")
    assert time.monotonic() - begin < SOON
    tm.run("resume", "--id", vm.id)
    assert command.child.communicate(b"still", BOOT)[0] == b"still"


def test_an_agent_that_hangs_or_is_gone_is_a_timeout(vm):
    vm.sh("killall -STOP tailmac-agent")
    begin = time.monotonic()
    assert "does not answer" in vm.fail(7, "exec", "--", "true")
    assert time.monotonic() - begin < SOON
    assert "in time" in vm.fail(7, "exec", "--timeout", "1", "--", "true")
    vm.sh("killall -CONT tailmac-agent")
    assert sh(vm, "exit 3").returncode == 3


def test_an_agent_that_starts_again_ends_what_ran(vm):
    command = Command(vm, "--timeout", str(SOON), "--", "sh", "-c", "echo x; sleep 1000")
    command.line()
    vm.sh("killall -KILL tailmac-agent")
    assert command.end()[0] in (1, 7)
    eventually(lambda: sh(vm, "exit 4").returncode == 4, BOOT, "the agent again")


# Shutting down


def test_a_guest_shuts_down_when_told(vm):
    sh(vm, "echo kept >/data/file")
    assert "shutdown (the guest shut down)" in vm.stop("--shutdown").stdout
    status = vm.status()
    assert (status["ended"], status["saved"]) == ("shutdown", False)
    assert "was not running" in vm.stop("--shutdown").stdout
    vm.start()
    assert sh(vm, "cat /data/file").stdout == b"kept\n"
    assert "shutting down" in vm.stop("--shutdown", "--no-wait").stdout
    assert vm.at_rest() == "shutdown"


def test_a_guest_that_does_not_shut_down_goes_on(vm):
    vm.fail(2, "stop", "--shutdown", "--no-sync")
    assert sh(vm, "echo '#!/bin/sh' >/sbin/poweroff").returncode == 0
    assert "not stopped in time" in vm.fail(7, "stop", "--shutdown", "--timeout", "5")
    vm.sh("killall -STOP tailmac-agent")
    assert "does not answer" in vm.fail(7, "stop", "--shutdown", "--timeout", "30")
    assert vm.state == "running"
