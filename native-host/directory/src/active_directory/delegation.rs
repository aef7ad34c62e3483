//! The commands that give the service account what it needs and no more, for Windows and for Samba. `docs/active-directory.md`
//! explains them.

use super::dn::Dn;
use super::guid;

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
    /// Putting their ordinary primary group back.
    PrimaryGroup,
}

// Class, attribute and right identities are the same in every Active Directory.
const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
/// The attribute `member`.
pub(super) const MEMBER: &str = "bf9679c0-0de6-11d0-a285-00aa003049e2";

impl Need {
    /// What it is about, by its identity in access lists.
    pub(super) const fn identity(self) -> &'static str {
        match self {
            Self::Accounts => USER,
            Self::Password => "00299570-246d-11d0-a768-00aa006e0529",
            Self::Restrictions => "4c164200-20c0-11d0-a768-00aa006e0529",
            Self::Description => "bf967950-0de6-11d0-a285-00aa003049e2",
            Self::PrimaryGroup => "bf967a00-0de6-11d0-a285-00aa003049e2",
        }
    }

    /// As `dsacls` takes it.
    const fn dsacls(self) -> &'static str {
        match self {
            Self::Accounts => "CCDC;user",
            Self::Password => "CA;Reset Password",
            Self::Restrictions => "RPWP;Account Restrictions",
            Self::Description => "RPWP;description",
            Self::PrimaryGroup => "RPWP;primaryGroupID",
        }
    }

    fn sddl(self, sid: &str) -> String {
        let identity = self.identity();
        match self {
            Self::Accounts => format!("(OA;;CCDC;{identity};;{sid})"),
            Self::Password => format!("(OA;CIIO;CR;{identity};{USER};{sid})"),
            Self::Restrictions | Self::Description | Self::PrimaryGroup => {
                format!("(OA;CIIO;RPWP;{identity};{USER};{sid})")
            }
        }
    }
}

/// How the unit is delegated.
pub(super) fn on_unit(unit: &Dn, service: &Service, need: Need) -> String {
    let rights = need.dsacls();
    let (scope, class) = if need == Need::Accounts { ("", "") } else { ("/I:S ", ";user") };
    format!(
        "Windows: dsacls \"{unit}\" {scope}/G \"{}:{rights}{class}\"  Samba: samba-tool dsacl set --objectdn=\"{unit}\" --sddl=\"{}\"",
        service.name,
        need.sddl(&service.sid)
    )
}

/// The pattern from which Windows rewrites protected access lists.
pub(super) fn holder(base: &Dn) -> Dn {
    base.child("CN", "System").child("CN", "AdminSDHolder")
}

/// How a right over protected accounts is delegated on that pattern.
pub(super) fn on_holder(base: &Dn, service: &Service, need: Need) -> String {
    format!("dsacls \"{}\" /G \"{}:{}\"", holder(base), service.name, need.dsacls())
}

/// How a group's members are delegated. A protected group's own access list is rewritten every hour from `AdminSDHolder`.
pub(super) fn on_group(group: &Dn, base: &Dn, service: &Service, protected: bool) -> String {
    let holder = holder(base);
    let windows = if protected { &holder } else { group };
    let Service { name, sid } = service;
    format!(
        "Windows: dsacls \"{windows}\" /G \"{name}:RPWP;member\"{}  Samba: samba-tool dsacl set --objectdn=\"{group}\" \
         --sddl=\"(OA;;RPWP;{MEMBER};;{sid})\"",
        if protected { " and wait up to an hour" } else { "" }
    )
}

/// Whether an access list (a security descriptor's bytes) gives something to this account by name: an entry's identity of what it
/// is about is followed by whom it is for (MS-DTYP 2.4.4.3).
pub(super) fn gives(descriptor: &[u8], identity: &str, sid: &[u8]) -> bool {
    let Some(about) = guid::bytes(identity) else { return false };
    let wanted: Vec<u8> = about.iter().chain(sid).copied().collect();
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
        let mut commands: Vec<_> =
            [Need::Accounts, Need::Password, Need::Restrictions, Need::Description, Need::PrimaryGroup]
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
        for need in [Need::Password, Need::Restrictions, Need::Description, Need::PrimaryGroup] {
            let command = on_holder(&base, &service, need);
            assert!(guide.contains(&command), "{command}");
        }
    }

    #[test]
    fn an_entry_for_the_members_is_found_in_an_access_list() {
        let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        let mut list = vec![5, 0, 0x38, 0, 0x30, 0, 0, 0, 1, 0, 0, 0];
        list.extend([
            0xc0, 0x79, 0x96, 0xbf, 0xe6, 0x0d, 0xd0, 0x11, 0xa2, 0x85, 0, 0xaa, 0, 0x30, 0x49, 0xe2,
        ]);
        assert!(!gives(&list, MEMBER, &sid));
        list.extend(sid);
        assert!(gives(&list, MEMBER, &sid));
        assert!(!gives(&list, MEMBER, &[1, 1, 0, 0, 0, 0, 0, 5, 19, 0, 0, 0]));
        assert!(!gives(&list, MEMBER, &[]));
        assert!(!gives(&list, Need::Description.identity(), &sid));
    }
}
