//! The commands that give the service account what it needs and no more, for Windows and for Samba. `docs/active-directory.md`
//! explains them.

use super::dn::Dn;

/// Who gets the rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// As `dsacls` takes it: `ACME\svc-ticketgate`.
    pub(super) name: String,
    /// As SDDL takes it.
    pub(super) sid: String,
}

/// What may be delegated on the unit of JIT accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Creating and deleting accounts.
    Accounts,
    /// Setting their passwords.
    Password,
    /// Enabling, disabling and their end.
    Restrictions,
    /// Their note.
    Description,
}

impl Need {
    const fn dsacls(self) -> (&'static str, &'static str) {
        match self {
            Self::Accounts => ("", "CCDC;user"),
            Self::Password => ("/I:S ", "CA;Reset Password;user"),
            Self::Restrictions => ("/I:S ", "RPWP;Account Restrictions;user"),
            Self::Description => ("/I:S ", "RPWP;description;user"),
        }
    }

    /// Class and attribute identities are the same in every Active Directory.
    fn sddl(self, sid: &str) -> String {
        const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
        match self {
            Self::Accounts => format!("(OA;;CCDC;{USER};;{sid})"),
            Self::Password => format!("(OA;CIIO;CR;00299570-246d-11d0-a768-00aa006e0529;{USER};{sid})"),
            Self::Restrictions => format!("(OA;CIIO;RPWP;4c164200-20c0-11d0-a768-00aa006e0529;{USER};{sid})"),
            Self::Description => format!("(OA;CIIO;RPWP;bf967950-0de6-11d0-a285-00aa003049e2;{USER};{sid})"),
        }
    }
}

/// How the unit is delegated.
pub(super) fn on_unit(unit: &Dn, service: &Service, need: Need) -> String {
    let (scope, rights) = need.dsacls();
    format!(
        "Windows: dsacls \"{unit}\" {scope}/G \"{}:{rights}\"  Samba: samba-tool dsacl set --objectdn=\"{unit}\" --sddl=\"{}\"",
        service.name,
        need.sddl(&service.sid)
    )
}

/// How a group's members are delegated. A protected group's own access list is rewritten every hour from `AdminSDHolder`.
pub(super) fn on_group(group: &Dn, base: &Dn, service: &Service, protected: bool) -> String {
    let holder = base.child("CN", "System").child("CN", "AdminSDHolder");
    let windows = if protected { &holder } else { group };
    let Service { name, sid } = service;
    format!(
        "Windows: dsacls \"{windows}\" /G \"{name}:RPWP;member\"{}  Samba: samba-tool dsacl set --objectdn=\"{group}\" \
         --sddl=\"(OA;;RPWP;bf9679c0-0de6-11d0-a285-00aa003049e2;;{sid})\"",
        if protected { " and wait up to an hour" } else { "" }
    )
}

/// Whether an access list (a security descriptor's bytes) gives `member` to this account by name: an entry for the attribute is
/// followed by whom it is for (MS-DTYP 2.4.4.3).
pub(super) fn gives_member(descriptor: &[u8], sid: &[u8]) -> bool {
    const MEMBER: [u8; 16] =
        [0xc0, 0x79, 0x96, 0xbf, 0xe6, 0x0d, 0xd0, 0x11, 0xa2, 0x85, 0, 0xaa, 0, 0x30, 0x49, 0xe2];
    let wanted: Vec<u8> = MEMBER.iter().chain(sid).copied().collect();
    !sid.is_empty() && descriptor.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_the_guides() {
        let guide = include_str!("../../../../docs/active-directory.md");
        let service = Service { name: "ACME\\svc-ticketgate".into(), sid: "SID".into() };
        let dn = |text| Dn::parse(text).unwrap();
        let (unit, base) = (dn("OU=JIT,DC=acme,DC=example"), dn("DC=acme,DC=example"));
        let mut commands: Vec<_> = [Need::Accounts, Need::Password, Need::Restrictions, Need::Description]
            .map(|need| on_unit(&unit, &service, need))
            .into();
        commands.push(on_group(
            &dn("CN=Tier1 Server Admins,OU=Groups,DC=acme,DC=example"),
            &base,
            &service,
            false,
        ));
        for command in commands {
            let (windows, samba) = command.split_once("  Samba: ").unwrap();
            let windows = windows.strip_prefix("Windows: ").unwrap();
            assert!(guide.contains(windows), "{windows}");
            assert!(guide.contains(samba), "{samba}");
        }
        let protected = on_group(&dn("CN=Domain Admins,CN=Users,DC=acme,DC=example"), &base, &service, true);
        assert!(guide.contains(
            "dsacls \"CN=AdminSDHolder,CN=System,DC=acme,DC=example\" /G \"ACME\\svc-ticketgate:RPWP;member\""
        ));
        assert!(protected.contains("CN=AdminSDHolder,CN=System,DC=acme,DC=example"));
    }

    #[test]
    fn an_entry_for_the_members_is_found_in_an_access_list() {
        let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        let mut list = vec![5, 0, 0x38, 0, 0x30, 0, 0, 0, 1, 0, 0, 0];
        list.extend([
            0xc0, 0x79, 0x96, 0xbf, 0xe6, 0x0d, 0xd0, 0x11, 0xa2, 0x85, 0, 0xaa, 0, 0x30, 0x49, 0xe2,
        ]);
        assert!(!gives_member(&list, &sid));
        list.extend(sid);
        assert!(gives_member(&list, &sid));
        assert!(!gives_member(&list, &[1, 1, 0, 0, 0, 0, 0, 5, 19, 0, 0, 0]));
        assert!(!gives_member(&list, &[]));
    }
}
