//! Whom a pipe lets in: its security descriptor as text (MS-DTYP 2.5.1), and whose pipes are trusted.

use crate::SYSTEM;

/// `FILE_GENERIC_READ | FILE_GENERIC_WRITE` without `FILE_CREATE_PIPE_INSTANCE`: whoever may connect may not serve
/// under the same name. It is also what a client asks for, since the generic rights would ask for that one as well.
pub const CONNECT: u32 = (0x0012_0089 | 0x0012_0116) & !0x04;

/// Who may connect, besides the broker's own user, the system and administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Nobody.
    Own,
    /// Whoever is logged on at this machine: at its screen or by Remote Desktop.
    LoggedOn,
}

/// The descriptor of a pipe that `own` serves. Its owner is said, since what an elevated administrator makes would else be the group's.
#[must_use]
pub fn descriptor(own: &str, callers: Callers) -> String {
    // All rights to the system and the broker's user; connecting to administrators, as root may elsewhere.
    let mut text = format!("O:{own}D:P(A;;GA;;;SY)(A;;GA;;;{own})(A;;{CONNECT:#x};;;BA)");
    if callers == Callers::LoggedOn {
        text.push_str(&format!("(A;;{CONNECT:#x};;;IU)"));
    }
    text
}

/// The descriptor of a folder whose files are `own`'s, the system's and administrators' alone, whatever the folder around it says.
#[must_use]
pub fn private_folder(own: &str) -> String {
    format!("O:{own}D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{own})")
}

/// Whether a pipe of this owner may be believed: one's own, or the system's. Nobody else can make one that says so.
#[must_use]
pub fn is_trusted(owner: &str, own: &str) -> bool {
    owner == own || owner == SYSTEM
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "S-1-5-21-1-2-3-1001";

    #[test]
    fn who_may_connect_may_not_serve_under_the_same_name() {
        // `FILE_CREATE_PIPE_INSTANCE`, `WRITE_DAC`, `WRITE_OWNER`, `DELETE`
        assert_eq!(CONNECT & (0x04 | 0x0004_0000 | 0x0008_0000 | 0x0001_0000), 0);
        // `FILE_READ_DATA`, `FILE_WRITE_DATA`, `READ_CONTROL` (to see whose it is), `SYNCHRONIZE`
        assert_eq!(CONNECT & 0x0012_0003, 0x0012_0003);
    }

    #[test]
    fn only_a_service_of_the_machine_lets_others_in() {
        let own = descriptor(OWN, Callers::Own);
        assert_eq!(own, format!("O:{OWN}D:P(A;;GA;;;SY)(A;;GA;;;{OWN})(A;;0x12019b;;;BA)"));
        let everyone = descriptor(SYSTEM, Callers::LoggedOn);
        assert!(everyone.ends_with("(A;;0x12019b;;;BA)(A;;0x12019b;;;IU)"), "{everyone}");
        for text in [own, everyone] {
            // Everybody, anonymous, network, authenticated users.
            for wide in [";;;WD)", ";;;AN)", ";;;NU)", ";;;AU)"] {
                assert!(!text.contains(wide), "{text}");
            }
        }
    }

    #[test]
    fn a_pipe_of_another_user_is_not_believed() {
        assert!(is_trusted(OWN, OWN) && is_trusted(SYSTEM, OWN));
        assert!(!is_trusted("S-1-5-21-1-2-3-1002", OWN));
        assert!(!is_trusted("", OWN));
    }
}
