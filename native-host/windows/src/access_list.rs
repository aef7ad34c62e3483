//! Who may use a file, by its access list: what `mode & 0o077` says elsewhere.

use crate::{ADMINISTRATORS, SYSTEM};

/// The service that owns Windows' own files.
const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
/// `CREATOR OWNER` and `OWNER RIGHTS`: they mean whoever owns the file, and who that is is looked at by itself.
const OWNERS: [&str; 2] = ["S-1-3-0", "S-1-3-4"];
/// Everybody: a file without a list.
const EVERYBODY: &str = "S-1-1-0";

/// `READ_CONTROL | SYNCHRONIZE | FILE_READ_ATTRIBUTES | FILE_READ_EA`: seeing that it is there and what its list says.
const HARMLESS: u32 = 0x0002_0000 | 0x0010_0000 | 0x80 | 0x08;
/// `GENERIC_READ | GENERIC_EXECUTE | FILE_READ_DATA | FILE_EXECUTE`: reading and entering.
const READING: u32 = 0x8000_0000 | 0x2000_0000 | 0x01 | 0x20;

/// A file's owner and access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    /// The owner's SID, who may change the list.
    pub owner: String,
    /// Whom it lets do what; `None`: there is no list, and everybody may do all.
    pub entries: Option<Vec<Entry>>,
}

/// Something that is allowed. What is denied is not looked at: it can only make less of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// To whom.
    pub sid: String,
    /// What (`ACCESS_MASK`).
    pub rights: u32,
}

/// For what a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Reading and changing: a secret.
    Readers,
    /// Changing: what is obeyed.
    Writers,
}

impl AccessList {
    /// The SIDs of those besides `own`, the system and administrators who may use the file.
    #[must_use]
    pub fn others(&self, own: &str, against: Against) -> Vec<&str> {
        let passed_over = match against {
            Against::Readers => HARMLESS,
            Against::Writers => HARMLESS | READING,
        };
        let is_trusted = |sid: &str| [own, SYSTEM, ADMINISTRATORS, TRUSTED_INSTALLER].contains(&sid);
        let mut others: Vec<&str> = match &self.entries {
            None => vec![EVERYBODY],
            Some(entries) => entries
                .iter()
                .filter(|entry| entry.rights & !passed_over != 0)
                .map(|entry| entry.sid.as_str())
                .filter(|sid| !is_trusted(sid) && !OWNERS.contains(sid))
                .collect(),
        };
        if !is_trusted(&self.owner) {
            others.push(&self.owner);
        }
        others.sort_unstable();
        others.dedup();
        others
    }
}

/// The command after which a file is the administrators', the system's and `own`'s alone, `(OI)(CI)` for what a folder holds.
#[must_use]
pub fn command_to_close(path: &str, own: &str, is_folder: bool) -> String {
    let all = if is_folder { "(OI)(CI)F" } else { "F" };
    let mut command =
        format!("icacls \"{path}\" /inheritance:r /grant:r \"*{SYSTEM}:{all}\" \"*{ADMINISTRATORS}:{all}\"");
    if own != SYSTEM {
        command.push_str(&format!(" \"*{own}:{all}\""));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "S-1-5-21-1-2-3-1001";
    const OTHER: &str = "S-1-5-21-1-2-3-1002";
    const USERS: &str = "S-1-5-32-545";
    /// `FILE_ALL_ACCESS`
    const ALL: u32 = 0x001f_01ff;
    /// `FILE_GENERIC_READ | FILE_GENERIC_EXECUTE`, what users have of a folder in `C:\ProgramData`.
    const READ: u32 = 0x0012_00a9;

    fn list(owner: &str, entries: &[(&str, u32)]) -> AccessList {
        let entries = entries.iter().map(|(sid, rights)| Entry { sid: (*sid).into(), rights: *rights });
        AccessList { owner: owner.into(), entries: Some(entries.collect()) }
    }

    #[test]
    fn a_file_of_a_persons_profile_is_nobody_elses() {
        let profile = list(OWN, &[(SYSTEM, ALL), (ADMINISTRATORS, ALL), (OWN, ALL), ("S-1-3-0", ALL)]);
        assert!(profile.others(OWN, Against::Readers).is_empty());
        let made_as_administrator = list(ADMINISTRATORS, &[(SYSTEM, ALL), (OWN, ALL)]);
        assert!(made_as_administrator.others(OWN, Against::Readers).is_empty());
    }

    #[test]
    fn who_may_read_is_no_other_where_only_changes_count() {
        let shared = list(SYSTEM, &[(SYSTEM, ALL), (USERS, READ)]);
        assert_eq!(shared.others(SYSTEM, Against::Readers), [USERS]);
        assert!(shared.others(SYSTEM, Against::Writers).is_empty());
        // `FILE_WRITE_DATA`, `FILE_APPEND_DATA`, `DELETE`, `WRITE_DAC`, `GENERIC_WRITE`, `GENERIC_ALL`
        for right in [0x02, 0x04, 0x0001_0000, 0x0004_0000, 0x4000_0000, 0x1000_0000] {
            let shared = list(SYSTEM, &[(USERS, READ | right)]);
            assert_eq!(shared.others(SYSTEM, Against::Writers), [USERS], "{right:#x}");
        }
    }

    #[test]
    fn an_owner_counts_since_he_can_change_the_list_and_a_file_without_a_list_is_everybodys() {
        assert_eq!(list(OTHER, &[(SYSTEM, ALL)]).others(SYSTEM, Against::Writers), [OTHER]);
        let open = AccessList { owner: OWN.into(), entries: None };
        assert_eq!(open.others(OWN, Against::Writers), [EVERYBODY]);
    }

    #[test]
    fn seeing_that_a_file_is_there_is_no_use_of_it() {
        assert!(list(OWN, &[(USERS, HARMLESS)]).others(OWN, Against::Readers).is_empty());
    }

    #[test]
    fn the_command_that_closes_a_file_names_whom_it_leaves() {
        assert_eq!(
            command_to_close("C:\\x y", OWN, true),
            format!(
                "icacls \"C:\\x y\" /inheritance:r /grant:r \"*S-1-5-18:(OI)(CI)F\" \"*S-1-5-32-544:(OI)(CI)F\" \"*{OWN}:(OI)(CI)F\""
            )
        );
        assert_eq!(command_to_close("k", SYSTEM, false).matches(SYSTEM).count(), 1);
    }
}
