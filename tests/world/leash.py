#!/usr/bin/python3
"""Run one program so that nothing of it outlives whoever started it.

Usage: leash.py LOG PROGRAM ARGUMENT...

The program gets /dev/null as stdin and LOG (appended to) as stdout and stderr. Its pid is the first
line that this script prints. The leash is this script's own stdin: when the other end closes, in an
orderly way or because the holder was killed, the program is asked to end (SIGTERM), and after
GRACE_SECONDS everything that descends from it is killed, also what moved into a session of its own:
the script is the "child subreaper" of all of it, so orphans come back to it. When the program ends by
itself, what it left behind is killed too, and "exit CODE", "signal NUMBER" or, where that left a core, "core NUMBER" is printed. Should the
leash itself be killed, the program goes with it.
"""
import _signal as signal  # `signal` and `subprocess` take longer to import than all of this takes.
import ctypes
import os
import select
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 2.0


def start(libc, command, log):
    """Start the program in a session of its own; answers its pid."""
    failed, fails = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            # Python's own: a program expects them as they are by default.
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDONLY)
            for new, old in enumerate((null, log, log)):
                os.dup2(old, new)
            os.closerange(3, fails)
            os.closerange(fails + 1, 1024)
            os.execvp(command[0], command)
        except OSError as why:
            os.write(fails, str(why).encode())
        finally:
            os._exit(127)
    os.close(fails)
    why = os.read(failed, 4096)
    os.close(failed)
    if why:
        sys.exit(why.decode())
    return pid


def parents():
    """Of every process: its parent. A process may vanish while we look; then it is left out."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as stat:
                    # The name in brackets may hold spaces and brackets; the fields follow the last one.
                    table[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                pass
    return table


def descendants():
    table, mine = parents(), {os.getpid()}
    while True:
        more = {pid for pid, parent in table.items() if parent in mine and pid not in mine}
        if not more:
            return mine - {os.getpid()}
        mine |= more


def reap(program, status):
    """Collect everything that ended; answers the program's own status once it has one."""
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == program:
            status = code


def kill_the_rest(program, status):
    while True:
        rest = descendants()
        for pid in rest:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        status = reap(program, status)
        if not rest:
            return status
        time.sleep(0.005)


def main():
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A Ctrl-C in the terminal is for the holder, which then lets go of the leash.
    os.setsid()
    # Wakes select() when a child ends.
    ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    with open(sys.argv[1], "ab") as log:
        program = start(libc, sys.argv[2:], log.fileno())
    print(program, flush=True)
    status = None
    while status is None:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 512)
            status = reap(program, status)
        if 0 in ready and not os.read(0, 512):
            break
    if status is None:
        os.kill(program, signal.SIGTERM)
        os.kill(program, signal.SIGCONT)
        until = time.monotonic() + GRACE_SECONDS
        while status is None and time.monotonic() < until:
            time.sleep(0.005)
            status = reap(program, status)
    status = kill_the_rest(program, status)
    try:
        if os.WIFSIGNALED(status):
            print("%s %d" % ("core" if os.WCOREDUMP(status) else "signal", os.WTERMSIG(status)), flush=True)
        else:
            print("exit %d" % os.WEXITSTATUS(status), flush=True)
    except BrokenPipeError:
        pass


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
