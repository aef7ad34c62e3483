//! The systemd units of broker and sweep, as shipped in `native-host/systemd/`.

use std::path::{Path, PathBuf};

use super::InstallError;
use super::browsers::Scope;
use crate::places::{Surroundings, System};

const BROKER_USER: &str = include_str!("../../systemd/ticketgate-broker.service");
const BROKER_SYSTEM: &str = include_str!("../../systemd/ticketgate-broker.system.service");
const SWEEP_USER: &str = include_str!("../../systemd/ticketgate-sweep.service");
const SWEEP_SYSTEM: &str = include_str!("../../systemd/ticketgate-sweep.system.service");
const TIMER: &str = include_str!("../../systemd/ticketgate-sweep.timer");

/// What stands in the shipped units for the binary.
pub(super) const BINARY: &str = "/usr/bin/ticketgate";

/// The units' files and contents.
pub(super) fn files(
    around: &Surroundings,
    scope: Scope,
    host: &Path,
) -> Result<Vec<(PathBuf, String)>, InstallError> {
    if around.system != System::Linux {
        return Err(InstallError::NoSystemd);
    }
    let (folder, broker, sweep) = match scope {
        Scope::User => {
            (around.config_home().ok_or(InstallError::NoHome)?.join("systemd/user"), BROKER_USER, SWEEP_USER)
        }
        Scope::System => (around.at_root("/etc/systemd/system"), BROKER_SYSTEM, SWEEP_SYSTEM),
    };
    let filled = |unit: &str| unit.replace(BINARY, &escaped(host));
    Ok(vec![
        (folder.join("ticketgate-broker.service"), filled(broker)),
        (folder.join("ticketgate-sweep.service"), filled(sweep)),
        (folder.join("ticketgate-sweep.timer"), TIMER.to_owned()),
    ])
}

/// A path as `ExecStart=` takes it: quoted, with `%` and `$` doubled (systemd.service(5), systemd.unit(5)).
pub(super) fn escaped(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '+');
    if path.chars().all(plain) {
        return path.into_owned();
    }
    let inside = path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{inside}\"")
}

/// The command that makes systemd use the units.
pub(super) fn how_to_enable(scope: Scope) -> &'static str {
    match scope {
        Scope::User => {
            "Now run: systemctl --user daemon-reload && systemctl --user enable --now ticketgate-broker.service ticketgate-sweep.timer\n\
             To keep ends on time while you are logged off: loginctl enable-linger"
        }
        Scope::System => {
            "Now run: useradd --system --home-dir /var/lib/ticketgate --shell /usr/sbin/nologin ticketgate; \
             systemctl daemon-reload && systemctl enable --now ticketgate-broker.service ticketgate-sweep.timer"
        }
    }
}

/// The command that has to come before the units go.
pub(super) fn how_to_disable(scope: Scope) -> &'static str {
    match scope {
        Scope::User => {
            "If they still run: systemctl --user disable --now ticketgate-broker.service ticketgate-sweep.timer"
        }
        Scope::System => {
            "If they still run: systemctl disable --now ticketgate-broker.service ticketgate-sweep.timer"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_special_characters_are_quoted_for_systemd() {
        assert_eq!(escaped(Path::new("/usr/local/bin/ticketgate")), "/usr/local/bin/ticketgate");
        assert_eq!(escaped(Path::new("/o p/50%/a\"b")), "\"/o p/50%%/a\\\"b\"");
    }

    #[test]
    fn every_shipped_unit_with_a_command_names_the_binary_once() {
        for unit in [BROKER_USER, BROKER_SYSTEM, SWEEP_USER, SWEEP_SYSTEM] {
            assert_eq!(unit.matches(BINARY).count(), 1, "{unit}");
        }
    }
}
