//! The units as they are shipped, under a real systemd: the broker as the service without privilege that it is, for the accounts of
//! its own machine by the socket, and of another one by SSH.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::remote::Remote;
use ticketgate_tests::patience::wait_for;
use ticketgate_tests::{Outcome, Result};

use crate::account::nothing_is_open;

/// The same machine once more, its processes apart, with systemd as the first of them. It ends when its one unit did.
const SYSTEMD: &str = "
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=0755 dev /dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 /dev/${node%:*} c 1 ${node#*:}; done
mknod -m 666 /dev/tty c 5 0
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=0755 run /run
export container=lxc
exec /lib/systemd/systemd --unit=ticketgate-test.service --log-level=warning
";

const UNIT: &str = "
[Unit]
After=basic.target
Requires=basic.target
[Service]
Type=oneshot
StandardOutput=file:/var/tmp/out
StandardError=inherit
ExecStart=/bin/sh -eu /var/tmp/script
ExecStopPost=/bin/sh -c 'journalctl --no-pager > /var/tmp/journal; echo over >> /var/tmp/out; systemctl --no-block exit 0'
";

/// Runs a script under a systemd, and answers what it printed, or fails with that and the journal.
pub(super) fn under_systemd(machine: &Machine, script: &str) -> Result<String> {
    // What this machine would start is not meant for this one.
    machine.sh("rm -f /etc/systemd/system/*.wants/*")?;
    fs::write(machine.path("/etc/systemd/system/ticketgate-test.service"), UNIT)?;
    fs::write(machine.path("/var/tmp/script"), script)?;
    let mut systemd = machine.command("unshare");
    systemd.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--ipc",
        "--cgroup",
        "sh",
        "-eu",
        "-c",
        SYSTEMD,
    ]);
    let mut systemd = systemd.stdout(Stdio::null()).spawn()?;
    let said = || fs::read_to_string(machine.path("/var/tmp/out")).unwrap_or_default();
    let ended = wait_for("systemd to end", Duration::from_secs(60), || Ok(systemd.try_wait()?));
    systemd.kill()?;
    systemd.wait()?;
    let journal = fs::read_to_string(machine.path("/var/tmp/journal")).unwrap_or_default();
    let said = said();
    match said.strip_suffix("fine\nover\n") {
        Some(said) => Ok(said.to_owned()),
        None => anyhow::bail!("{ended:?}: {said}\n{journal}"),
    }
}

/// A session in each directory, as the service's own users have it, ended by hand or by the machine.
const SCRIPT: &str = r#"
exec 2>&1
export HOME=/var/tmp
chown -R ticketgate /etc/ticketgate/ssh
ticketgate install --scope system --service --browser chromium > /dev/null
ticketgate local install > /dev/null
systemctl daemon-reload
systemctl start ticketgate-broker.service
for try in $(seq 100); do [ -S /run/ticketgate/broker.sock ] && break; sleep 0.1; done
[ "$(systemctl is-active ticketgate-local-sweep.timer ticketgate-local.socket | sort -u)" = active ]
word() { python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
session() { ticketgate --json activate "$1" --for "$2" --reason '#4711 nginx does not answer' | word id; }
is_root() { echo "$1" | setpriv --reuid jit-tech1 --regid jit-tech1 --init-groups sudo -k -S -p '' id -u 2> /dev/null; }

far=$(session all 1h)
ticketgate --json end "$far" | word state

here=$(session office 1h)
password=$(ticketgate --json password "$here" | word password)
is_root "$password"
ticketgate --json end "$here" | word state
is_root "$password" || echo refused

short=$(session office 6s)
password=$(ticketgate --json password "$short" | word password)
systemctl kill --signal KILL ticketgate-broker.service
systemctl stop ticketgate-broker.service
is_root "$password"
sleep 7
is_root "$password" || echo refused
systemctl start ticketgate-local-sweep.service
getent shadow jit-tech1 | cut -d: -f8
echo fine
"#;

#[test]
fn the_shipped_units_carry_sessions_here_and_by_ssh_and_the_timers_sweep_ends_one_alone() -> Outcome {
    let mut site = Remote::start()?;
    site.near.kill_broker()?;
    site.near.machine.prepare()?;
    site.near
        .machine
        .sh("useradd --system --no-create-home ticketgate; rm -rf /var/lib/ticketgate /run/ticketgate")?;
    let office = "
[[directory]]
id = \"office\"
customer = \"acme\"
kind = \"local\"
machine = \"here\"
processes = \"all\"

[[policy]]
id = \"office\"
directory = \"office\"
rights = [\"sudo:ALL\"]
duration = { default = \"1h\", max = \"4h\" }
eligible = { technicians = [\"tech1\"] }
";
    let file = site.near.machine.path("/etc/ticketgate/ticketgate.toml");
    let configuration = fs::read_to_string(&file)?;
    fs::write(&file, configuration + office)?;
    let said = under_systemd(&site.near.machine, SCRIPT)?;
    assert_eq!(said, "ended\n0\nended\nrefused\n0\nrefused\n1\n");
    nothing_is_open(&site.near.machine)?;
    nothing_is_open(&site.far)?;
    Ok(())
}
