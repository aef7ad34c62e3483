//! What the tests look for on a machine: what `sudo` says to an account, which files of ours there are.

use ticketgate_tests::Result;
use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::installed::Installed;

pub(crate) const TECH1: &str = "jit-tech1";

/// A machine with a broker that is root there.
pub(crate) fn here(configuration: &str) -> Result<Installed> {
    let machine = Machine::start("acme-web1")?;
    machine.prepare()?;
    Installed::start(machine, configuration)
}

/// Whether `sudo` makes the account root, when it types this password.
pub(crate) fn is_root(machine: &Machine, account: &str, password: &str) -> Result<bool> {
    machine.sudo_makes_root(account, password)
}

/// Whether the account exists there.
pub(crate) fn exists(machine: &Machine, account: &str) -> bool {
    machine.sh(&format!("getent passwd {account}")).is_ok()
}

/// The groups that the account holds, without its own.
pub(crate) fn groups(machine: &Machine, account: &str) -> Result<String> {
    let groups = machine.sh(&format!("id -Gn {account}"))?;
    Ok(groups.split(' ').filter(|group| *group != account).collect::<Vec<_>>().join(" "))
}

/// Files of ours that open something.
pub(crate) fn drop_ins(machine: &Machine) -> Result<String> {
    machine.sh("ls -A /etc/sudoers.d | grep -v 'README\\|ticketgate-broker' || true")
}

/// Nothing of any session is left: no rule, no key, no process, and nobody can log on.
pub(crate) fn nothing_is_open(machine: &Machine) -> Result<()> {
    assert_eq!(drop_ins(machine)?, "");
    let open = "for name in $(getent passwd | grep -o '^jit-[^:]*'); do
        [ \"$(getent shadow $name | cut -d: -f8)\" = 1 ] || echo $name is open
        grep -s ssh- /etc/ssh/ticketgate-keys/$name
        pgrep -u $name
        id -Gn $name | grep -w docker
    done; true";
    assert_eq!(machine.sh(open)?, "");
    machine.sh("visudo -c").map(drop)
}
