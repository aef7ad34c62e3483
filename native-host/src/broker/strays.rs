//! Accounts in a directory's unit of JIT accounts that the ledger does not know: of a lost or older ledger, of another broker, or
//! somebody's who put them there. They are told, and nothing is done to them.

use std::collections::BTreeSet;

use ticketgate_access::session::Account;
use ticketgate_directory::ListedAccount;
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::ids::DirectoryId;

use super::problems::directory_problem;
use super::{Broker, Snapshot};

impl Broker {
    /// What stands in the units of the configured directories and not in the ledger. A directory that does not answer is left
    /// out: whoever asks this has told that already.
    pub(super) async fn strays(&self, snapshot: &Snapshot) -> Vec<Finding> {
        self.unknown(snapshot).await.0.iter().map(|(id, account)| stray(id, account)).collect()
    }

    /// The same as they were seen, and what could not be asked.
    pub(super) async fn unknown(
        &self,
        snapshot: &Snapshot,
    ) -> (Vec<(DirectoryId, ListedAccount)>, Vec<Finding>) {
        let lists = snapshot.directories.iter().map(async |(id, directory)| match directory.list().await {
            Ok(unit) => Ok((id, unit.accounts)),
            Err(error) => {
                tracing::warn!(directory = %id, %error, "the unit of JIT accounts could not be listed");
                let problem = directory_problem(&error);
                Err(Finding {
                    level: "error".into(),
                    subject: format!("directory {id}"),
                    text: format!("Its unit of JIT accounts could not be read: {}", problem.detail),
                    remedy: problem.remedy,
                })
            }
        });
        let (mut units, mut unread) = (Vec::new(), Vec::new());
        for list in futures_util::future::join_all(lists).await {
            match list {
                Ok(unit) => units.push(unit),
                Err(finding) => unread.push(finding),
            }
        }
        // After the directories: an account is in the ledger before it is made.
        let known = match self.ledger.accounts().await {
            Ok(known) => Known::of(&known),
            Err(error) => {
                tracing::error!(%error, "the units of JIT accounts could not be compared with the ledger");
                return (Vec::new(), unread);
            }
        };
        let listed =
            units.into_iter().flat_map(|(id, accounts)| accounts.into_iter().map(|a| (id.clone(), a)));
        (listed.filter(|(_, account)| !known.has(account)).collect(), unread)
    }
}

/// By what an account is known again: the note that the broker gave it, or what the directory calls it.
struct Known {
    tokens: BTreeSet<String>,
    identities: BTreeSet<String>,
}

impl Known {
    fn of(accounts: &[Account]) -> Self {
        Self {
            tokens: accounts.iter().map(|account| account.token.clone()).collect(),
            identities: accounts.iter().filter_map(|account| account.identity.clone()).collect(),
        }
    }

    fn has(&self, listed: &ListedAccount) -> bool {
        self.identities.contains(&listed.seen.identity)
            || listed.seen.marker.as_ref().is_some_and(|note| self.tokens.contains(&note.token))
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
                "A unit belongs to one broker and one ledger. If no other broker uses this one, the ledger is an older or a new \
                 one: stop the broker and run `ticketgate recover`, which takes the account in and closes it.",
            )
        }
        None => (
            "it is no account of Ticketgate's".to_owned(),
            "The unit is for JIT accounts and nothing else: move it elsewhere, or delete it.",
        ),
    };
    let state = if usable { "can be used or holds rights" } else { "is closed and holds no right" };
    tracing::warn!(directory = %id, account = %name, usable, "an account in the unit of JIT accounts is not in the ledger");
    Finding {
        level: if usable { "error" } else { "warning" }.into(),
        subject: format!("{id}: account {name}"),
        text: format!("stands in the unit of JIT accounts and {state}; {whose}"),
        remedy: remedy.into(),
    }
}
