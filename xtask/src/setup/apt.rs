//! Debian's packages: which are installed, and installing those that are not. As root at once, otherwise through sudo
//! after saying so, and where there is no apt-get the person is told what to run. Nothing installed here is started.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::is_root;
use crate::steps::Steps;
use crate::tree::program;

/// The packages that dpkg has. Empty where there is no dpkg; then only programs count.
pub(crate) struct Installed(BTreeSet<String>);

impl Installed {
    /// One call for all packages: a tenth of a second instead of one call each.
    pub(crate) fn look() -> Self {
        let listed = Command::new("dpkg-query").args(["-W", "-f=${Package} ${db:Status-Status}\\n"]).output();
        let Ok(listed) = listed else { return Self(BTreeSet::new()) };
        Self::read(&String::from_utf8_lossy(&listed.stdout))
    }

    pub(crate) fn has(&self, package: &str) -> bool {
        self.0.contains(package)
    }

    fn read(listed: &str) -> Self {
        Self(listed.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect())
    }
}

/// Installs packages, with the lists refreshed first.
pub(crate) fn install(steps: &mut Steps, packages: &[&str]) -> Result<()> {
    let script = script(packages);
    if program("apt-get").is_none() {
        bail!(
            "this machine has no apt-get. Please install the counterparts of these Debian 12 packages and run this again:\n\n    {}",
            packages.join(" ")
        );
    }
    if is_root()? {
        let mut shell = Command::new("sh");
        return steps.program(&title(packages), shell.args(["-c", &script]), REMEDY);
    }
    let Some(sudo) = program("sudo") else {
        bail!(
            "installing packages needs root and there is no sudo here. As root, please run:\n\n{}",
            indented(&script)
        );
    };
    steps.note("Installing packages needs root. This runs now, through sudo, and nothing else does:\n");
    steps.note(&indented(&script));
    let asks = !Command::new(&sudo)
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if asks {
        if !std::io::stdin().is_terminal() {
            bail!(
                "sudo wants a password and there is no terminal to type it on. Please run the lines above as root, then this again"
            );
        }
        let allowed = Command::new(&sudo).arg("-v").status().context("cannot start sudo")?;
        if !allowed.success() {
            bail!("sudo refused. Please run the lines above as root, then this again");
        }
    }
    let mut shell = Command::new(&sudo);
    steps.program(&title(packages), shell.args(["sh", "-c", &script]), REMEDY)
}

const REMEDY: &str = "the package names are those of Debian 12; elsewhere install the counterparts by hand";

fn title(packages: &[&str]) -> String {
    format!("apt-get install ({} packages)", packages.len())
}

/// Everything that runs as root, in one piece, so that it can be shown before it runs.
fn script(packages: &[&str]) -> String {
    let mut lines = vec![
        "set -eu",
        // Packages such as samba start their service when installed. Ours are started by tests, on loopback, or never.
        "if [ ! -e /usr/sbin/policy-rc.d ]; then",
        "  trap 'rm -f /usr/sbin/policy-rc.d' EXIT; trap 'exit 130' HUP INT TERM",
        "  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d   # for the length of this script: start no service",
        "  chmod 755 /usr/sbin/policy-rc.d",
        "fi",
        "export DEBIAN_FRONTEND=noninteractive",
        "apt-get -o DPkg::Lock::Timeout=300 update",
    ];
    if packages.contains(&"request-tracker5") {
        lines.push("echo 'request-tracker5 request-tracker5/dbconfig-install boolean false' | debconf-set-selections");
    }
    let install = format!(
        "apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends {}",
        packages.join(" ")
    );
    lines.push(&install);
    lines.join("\n")
}

fn indented(script: &str) -> String {
    script.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_whose_settings_remain_is_not_installed() {
        let installed = Installed::read("samba installed\nxclip config-files\nxvfb not-installed\n");
        assert!(installed.has("samba") && !installed.has("xclip") && !installed.has("xvfb"));
    }

    #[test]
    fn the_root_script_is_valid_shell_and_installs_exactly_the_packages_asked_for() {
        let script = script(&["request-tracker5", "samba"]);
        assert!(script.ends_with("install -y --no-install-recommends request-tracker5 samba"), "{script}");
        assert!(script.contains("debconf-set-selections"), "{script}");
        let parsed = Command::new("sh").args(["-n", "-c", &script]).status().unwrap();
        assert!(parsed.success(), "{script}");
    }
}
