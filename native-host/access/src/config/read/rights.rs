//! `rights` of a policy: what each means depends on the kind of its directory.

use std::collections::BTreeMap;

use ticketgate_protocol::ids::PolicyId;

use super::links::Drafts;
use super::tree::Notes;
use super::{directory, dn, grant};
use crate::config::{DirectoryKind, Grant};
use crate::entra::EntraRight;
use crate::local::{LocalRight, Sid, System};
use crate::session::Right;

/// A right by its meaning, whatever its spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// A group of Active Directory.
    Dn(dn::Dn),
    /// A right on a machine.
    Local(LocalRight),
    /// A right in a tenant.
    Entra(EntraRight),
}

/// The fault completes "an entry of `rights`…".
fn name(kind: &DirectoryKind, text: &str) -> Result<Name, String> {
    match kind {
        DirectoryKind::ActiveDirectory(_) => dn::parse(text).map(Name::Dn).map_err(|fault| format!(" {fault}")),
        DirectoryKind::Entra(_) => text.parse().map(Name::Entra).map_err(|bad: crate::entra::BadRight| format!(": {bad}")),
        DirectoryKind::Local(machine) if machine.system == System::Windows => windows(text).map(Name::Local),
        DirectoryKind::Local(_) => match text.parse::<LocalRight>() {
            // A key is a person's, and comes with the person.
            Ok(LocalRight::Key(_)) => {
                Err(": a key is a person's; name it by `ssh_keys` of its technician, and set `login` of the directory"
                    .into())
            }
            Ok(right) => Ok(Name::Local(right)),
            Err(bad) => Err(format!(": {bad}")),
        },
    }
}

impl DirectoryKind {
    /// Whether this can be a right in a directory of this kind. One of a session of before can be of another.
    #[must_use]
    pub fn has_right(&self, right: &Right) -> bool {
        name(self, &right.0).is_ok()
    }
}

fn windows(text: &str) -> Result<LocalRight, String> {
    if let Some(sid) = Sid::of_written(text) {
        return Ok(sid.into());
    }
    Err(match text.parse() {
        Ok(LocalRight::Sudo(_)) => ": a Windows machine has no sudo; write \"group:Administrators\", or another group".into(),
        Ok(LocalRight::Key(_)) => ": sessions on a Windows machine have no keys".into(),
        Ok(LocalRight::Group(_)) | Err(_) => {
            ": of a Windows machine it must be group: and the group's SID (Get-LocalGroup | Select-Object Name, SID shows them), or the English \
             name of a group that every Windows has, such as \"group:Remote Desktop Users\""
                .into()
        }
    })
}

fn directory_of<'d>(drafts: &'d [directory::Draft], grant: &Grant) -> Option<&'d directory::Draft> {
    drafts.iter().find(|d| d.item.id == grant.directory)
}

/// Notes rights that do not fit their directory, or stand there twice.
pub(super) fn fit(drafts: &Drafts, notes: &mut Notes) {
    for policy in &drafts.policies {
        for (grant, draft) in policy.item.grants.iter().zip(&policy.granted) {
            let Some(directory) = directory_of(&drafts.directories, grant) else { continue };
            fit_directory(directory, &policy.item.id, draft, notes);
        }
    }
}

fn fit_directory(directory: &directory::Draft, policy: &PolicyId, grant: &grant::Draft, notes: &mut Notes) {
    let owner = format!("an entry of `rights` of policy \"{policy}\"");
    let mut names = Vec::new();
    for right in &grant.rights {
        match name(&directory.item.kind, &right.value) {
            Ok(name) if names.contains(&name) => {
                notes.fault(right.line, format!("{owner} stands there twice; leave one out"));
            }
            Ok(name) => {
                if let (Name::Dn(group), Some(unit)) = (&name, &directory.unit)
                    && group.domain() != unit.domain()
                {
                    // Possible within a forest, and more often copied from another customer.
                    notes.warn(
                        right.line,
                        format!(
                            "a right of policy \"{policy}\" is in another domain than the `account_unit` of directory \"{}\"; \
                             check that its DC= parts are right",
                            directory.item.id
                        ),
                    );
                }
                names.push(name);
            }
            Err(fault) => notes.fault(right.line, format!("{owner}{fault}")),
        }
    }
}

/// Gives rights that several policies of a directory spell differently the spelling that comes first in the file: the
/// union of sessions' rights, and "what another session still needs", then never miss each other over a capital letter.
/// Groups of Windows get the spelling by which their machine tells of them.
pub(super) fn spell_alike(drafts: &mut Drafts) {
    let mut first: BTreeMap<(String, Name), Right> = BTreeMap::new();
    let Drafts { directories, policies, .. } = drafts;
    for grant in policies.iter_mut().flat_map(|policy| &mut policy.item.grants) {
        let Some(directory) = directory_of(directories, grant) else { continue };
        for right in &mut grant.rights {
            let Ok(name) = name(&directory.item.kind, &right.0) else { continue };
            if let (Name::Local(group), DirectoryKind::Local(machine)) = (&name, &directory.item.kind)
                && machine.system == System::Windows
            {
                *right = Right(group.to_string());
            }
            let key = (grant.directory.to_string(), name);
            *right = first.entry(key).or_insert_with(|| right.clone()).clone();
        }
    }
}
