//! Accounts in a directory's unit of JIT accounts that the ledger does not know: of a lost or older ledger, of another broker, or
//! somebody's who put them there. They are told, and nothing is done to them.

use ticketgate_access::session::AccountKey;
use ticketgate_directory::ListedAccount;
use ticketgate_ledger::Mark;
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_protocol::ids::DirectoryId;

use super::problems::directory_problem;
use super::{Broker, Snapshot};

/// What the units of all configured directories hold, beside what the ledger expects.
#[derive(Default)]
pub(super) struct Units {
    /// Accounts that the ledger does not know.
    pub(super) unknown: Vec<(DirectoryId, ListedAccount)>,
    /// Burner accounts that it does know and that are over: each should be gone.
    pub(super) burners: Vec<(DirectoryId, AccountKey)>,
    /// Directories that could not be asked.
    pub(super) unread: Vec<Finding>,
}

impl Broker {
    /// What stands in the units and not in the ledger. A directory that does not answer is left out: whoever asks this has told
    /// that already.
    pub(super) async fn strays(&self, snapshot: &Snapshot) -> Vec<Finding> {
        self.units(snapshot).await.strays()
    }

    /// Looks into every unit.
    pub(super) async fn units(&self, snapshot: &Snapshot) -> Units {
        let lists = snapshot.directories.iter().map(async |(id, directory)| match directory.list().await {
            Ok(unit) => Ok((id, unit.accounts)),
            Err(error) => {
                tracing::warn!(directory = %id, %error, "the JIT accounts could not be listed");
                let problem = directory_problem(&error);
                Err(Finding {
                    level: "error".into(),
                    subject: format!("directory {id}"),
                    text: format!("Its JIT accounts could not be listed: {}", problem.detail),
                    remedy: problem.remedy,
                })
            }
        });
        let (mut listed, mut units) = (Vec::new(), Units::default());
        for list in futures_util::future::join_all(lists).await {
            match list {
                Ok(unit) => listed.push(unit),
                Err(finding) => units.unread.push(finding),
            }
        }
        // After the directories: an account is in the ledger before it is made.
        let known = match self.ledger.marks().await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "the JIT accounts could not be compared with the ledger");
                return units;
            }
        };
        let known = Known::of(&known);
        for (id, accounts) in listed {
            for account in accounts {
                match known.of_listed(&account) {
                    None => units.unknown.push((id.clone(), account)),
                    Some(known) if known.mode == Mode::Burner && known.idle => {
                        units.burners.push((id.clone(), known.key.clone()));
                    }
                    Some(_) => {}
                }
            }
        }
        units
    }
}

impl Units {
    pub(super) fn strays(&self) -> Vec<Finding> {
        self.unknown.iter().map(|(id, account)| stray(id, account)).collect()
    }
}

/// By what an account is known again: the note that the broker gave it, or what the directory calls it.
struct Known<'a> {
    by_token: Vec<&'a Mark>,
    by_identity: Vec<&'a Mark>,
}

impl<'a> Known<'a> {
    fn of(accounts: &'a [Mark]) -> Self {
        let (mut by_token, mut by_identity): (Vec<_>, Vec<_>) = accounts.iter().map(|a| (a, a)).unzip();
        by_token.sort_unstable_by_key(|account| account.token.as_str());
        by_identity.sort_unstable_by_key(|account| account.identity.as_deref());
        Self { by_token, by_identity }
    }

    fn of_listed(&self, listed: &ListedAccount) -> Option<&'a Mark> {
        let by_note = || {
            let token = listed.seen.marker.as_ref()?.token.as_str();
            let found = self.by_token.binary_search_by_key(&token, |account| account.token.as_str());
            // Where another account took its place meanwhile, this one was deleted, and somebody brought it back.
            self.by_token.get(found.ok()?).filter(|account| account.identity.is_none())
        };
        let identity = Some(listed.seen.identity.as_str());
        let found = self.by_identity.binary_search_by_key(&identity, |account| account.identity.as_deref());
        found.ok().and_then(|place| self.by_identity.get(place)).or_else(by_note).copied()
    }
}

/// One that can be used, or holds a right, is an error; a closed one without any is only untidy.
fn stray(id: &DirectoryId, listed: &ListedAccount) -> Finding {
    let seen = &listed.seen;
    let name = &seen.display_name;
    let usable = seen.enabled || !seen.rights.is_empty() || !seen.ordinary_primary_group;
    let (whose, remedy) = match &seen.marker {
        Some(note) => {
            let until = note.until.map_or_else(|| "closed".to_owned(), |at| format!("until {at}"));
            (
                format!(
                    "its note says that Ticketgate made it for {} ({until}), but this ledger does not know it",
                    note.owner
                ),
                "A unit, or the `jit-` of a machine, belongs to one broker and one ledger. If no other broker uses this one, the ledger is an older or a new \
                 one: stop the broker and run `ticketgate recover`, which takes the account in and closes it.",
            )
        }
        None => (
            "it is no account of Ticketgate's".to_owned(),
            "The unit, or a machine's names with `jit-`, are for JIT accounts and nothing else: move or rename it, or delete it.",
        ),
    };
    let state = if usable { "can be used or holds rights" } else { "is closed and holds no right" };
    tracing::warn!(directory = %id, account = %name, usable, "an account among the JIT accounts is not in the ledger");
    Finding {
        level: if usable { "error" } else { "warning" }.into(),
        subject: format!("{id}: account {name}"),
        text: format!("stands among the JIT accounts and {state}; {whose}"),
        remedy: remedy.into(),
    }
}
