//! A machine as a directory: the one mechanism's looks and steps, put into the words of the machine's own side.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::{self, Local};
use ticketgate_access::desired::{DirectoryEnd, Marker, Observed, ObservedAccount, SelfEnding, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_credentials::Secret;
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_protocol::ids::TechnicianId;

use super::reach::Reach;
use super::request::{
    Answer, Ask, HiddenText, LocalSeen, LocalStep, Named, Processes, SudoAsks, Whose, Window,
};
use super::{AccountName, LocalRight, Sid, System, Token, promises};
use crate::{Directory, DirectoryError, ListedAccount, Listing, Promises, RightUse};

/// What a machine ends by itself, to the second. A membership of a group has no end of its own, and Windows has only those.
pub(super) const SELF_ENDING: SelfEnding = SelfEnding::Beginning(&["sudo:", "key:"]);
/// Clocks that differ by more are worth a warning, and by more than the second nothing is granted.
const SKEW_SHOWN: TimeDelta = TimeDelta::seconds(30);
const SKEW_REFUSED: TimeDelta = TimeDelta::minutes(5);

/// A machine with accounts of its own.
#[derive(Debug)]
pub struct LocalMachine {
    settings: Local,
    reach: Reach,
}

impl LocalMachine {
    /// A connector to a machine. Nothing is reached yet.
    #[must_use]
    pub fn new(settings: &Local) -> Self {
        let timeout = Duration::from_secs(settings.timeout_s.into());
        Self { reach: Reach::new(&settings.machine, settings.system, timeout), settings: settings.clone() }
    }

    /// Whether this connector is for these settings, so that its link can be kept.
    #[must_use]
    pub fn is_for(&self, settings: &Local) -> bool {
        self.settings == *settings
    }

    fn processes(&self) -> Processes {
        match self.settings.processes {
            config::Processes::Stay => Processes::Stay,
            config::Processes::Own => Processes::Own,
            config::Processes::All => Processes::All,
        }
    }

    pub(super) fn named(account: &Account) -> Result<Named, DirectoryError> {
        let bad = |why: String| DirectoryError::BadValue(why);
        Ok(Named {
            name: AccountName::new(&account.name).map_err(|e| bad(e.to_string()))?,
            token: Token::new(&account.token).map_err(|e| bad(e.to_string()))?,
            identity: account.identity.clone(),
        })
    }

    /// The step in the far side's words.
    pub(super) fn step(&self, step: &Step, password: Option<&Secret>) -> Result<LocalStep, DirectoryError> {
        let processes = self.processes();
        let window = |until: DateTime<Utc>, marker: &Marker| Window {
            until: marker.until.unwrap_or(until),
            end: until,
            processes,
        };
        Ok(match step {
            Step::Create(marker) => LocalStep::Create { whose: whose(marker)? },
            Step::Grant { right, until, .. } => LocalStep::Grant {
                right: parsed(right)?,
                until: until
                    .ok_or_else(|| DirectoryError::BadValue("a right on a machine needs an end".into()))?,
                asks: if self.settings.login.has_password() { SudoAsks::Password } else { SudoAsks::Nothing },
            },
            Step::Revoke(right) => LocalStep::Revoke { right: right.0.clone() },
            Step::ResetPrimaryGroup => LocalStep::ResetPrimaryGroup {},
            Step::Open { until, marker } => LocalStep::Open {
                whose: whose(marker)?,
                window: window(*until, marker),
                password: password.map(|password| HiddenText(password.clone())),
            },
            Step::SetEnd { until, marker } => {
                LocalStep::SetEnd { whose: whose(marker)?, window: window(*until, marker) }
            }
            Step::Close => LocalStep::Close { processes },
            Step::Rotate(marker) => LocalStep::Rotate { whose: whose(marker)?, processes },
            Step::Delete => LocalStep::Delete {},
        })
    }

    /// As people type it. A Windows machine says so itself, since it may be reached by another name than its own.
    fn display_name(&self, name: &str, seen: &LocalSeen) -> String {
        match (self.settings.system, &self.settings.machine) {
            (System::Windows, _) => seen.home.clone(),
            (System::Linux, config::Machine::Here) => name.to_owned(),
            (System::Linux, config::Machine::Ssh(ssh)) => format!("{name}@{}", ssh.host),
        }
    }

    pub(super) fn observed(&self, name: &str, seen: LocalSeen) -> ObservedAccount {
        let ends =
            seen.rights.iter().filter_map(|one| Some((Right(one.right.clone()), one.until?))).collect();
        ObservedAccount {
            display_name: self.display_name(name, &seen),
            identity: seen.identity,
            place: seen.home,
            enabled: seen.enabled,
            end: seen.end.map_or(DirectoryEnd::Never, DirectoryEnd::At),
            rights: seen.rights.into_iter().map(|one| Right(one.right)).collect(),
            right_ends: ends,
            marker: seen.note.map(|note| Marker {
                token: note.token.to_string(),
                owner: note.whose.owner.to_string(),
                generation: note.whose.generation,
                until: note.window.map(|window| window.until),
            }),
            own: BTreeSet::new(),
            ordinary_primary_group: seen.own_primary_group,
        }
    }
}

fn whose(marker: &Marker) -> Result<Whose, DirectoryError> {
    let owner =
        TechnicianId::new(marker.owner.clone()).map_err(|e| DirectoryError::BadValue(e.to_string()))?;
    Ok(Whose { owner, generation: marker.generation })
}

fn parsed(right: &Right) -> Result<LocalRight, DirectoryError> {
    right.0.parse().map_err(|e: super::BadRight| DirectoryError::NoSuchRight(e.to_string()))
}

fn unexpected(answer: &Answer) -> DirectoryError {
    DirectoryError::Refused(format!("the machine's own side answered something else: {answer:?}"))
}

#[async_trait]
impl Directory for LocalMachine {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        let account = Self::named(account)?;
        let name = account.name.to_string();
        match self.reach.ask(&Ask::Look { account }).await? {
            Answer::Seen { time, account } => Ok(Observed {
                directory_time: time,
                self_ending: SELF_ENDING,
                behind: false,
                account: account.map(|seen| self.observed(&name, seen)),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn apply(
        &self,
        account: &Account,
        _: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let step = Box::new(self.step(step, password)?);
        match self.reach.ask(&Ask::Step { account: Self::named(account)?, step }).await? {
            Answer::Done { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        match self.reach.ask(&Ask::List {}).await? {
            Answer::Listed { time, accounts } => Ok(Listing {
                directory_time: time,
                accounts: accounts
                    .into_iter()
                    .map(|one| {
                        let name = one.name.to_string();
                        ListedAccount { seen: self.observed(&name, one.seen), name }
                    })
                    .collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        let machine = self.settings.machine_name();
        let finding = |level: &str, text: String, remedy: &str| Finding {
            level: level.into(),
            subject: format!("machine {machine}"),
            text,
            remedy: remedy.into(),
        };
        // What cannot be read was refused with the configuration.
        let mut rights: Vec<LocalRight> = rights.iter().filter_map(|used| parsed(&used.right).ok()).collect();
        rights.sort();
        rights.dedup();
        let (time, told) = match self.reach.ask(&Ask::Check { rights }).await {
            Ok(Answer::Checked { time, findings }) => (time, findings),
            Ok(other) => return vec![finding("error", unexpected(&other).to_string(), "")],
            Err(error) => return vec![finding("error", error.to_string(), self.reach.remedy(&error))],
        };
        let skew = time - DateTime::<Utc>::from(SystemTime::now());
        let clocks = format!("the machine's clock differs from this one's by {} s", skew.num_seconds());
        let mend = match self.settings.system {
            System::Linux => "Let both follow one time server: timedatectl set-ntp true.",
            System::Windows => {
                "Let both follow one time server: w32tm /config /syncfromflags:manual /manualpeerlist:SERVER /update."
            }
        };
        let mut found = vec![finding("ok", "its own side answers".into(), "")];
        found.push(if skew.abs() > SKEW_REFUSED {
            finding(
                "error",
                format!("{clocks}; beyond {} s nothing is granted", SKEW_REFUSED.num_seconds()),
                mend,
            )
        } else if skew.abs() > SKEW_SHOWN {
            finding("warning", clocks, mend)
        } else {
            finding("ok", "both clocks agree".into(), "")
        });
        found.extend(told);
        found
    }

    /// Its own side tells all of it without.
    async fn rehearse(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn promises(&self, _: Mode) -> Promises {
        promises::of(&self.settings)
    }

    fn has_passwords(&self) -> bool {
        self.settings.login.has_password()
    }

    fn right_name(&self, right: &Right) -> String {
        match parsed(right) {
            Ok(LocalRight::Key(_)) => "your SSH key".into(),
            Ok(LocalRight::Group(name)) => name
                .as_str()
                .parse()
                .ok()
                .as_ref()
                .and_then(Sid::english)
                .map_or_else(|| name.to_string(), str::to_owned),
            Ok(LocalRight::Sudo(command)) => format!("sudo {command}"),
            Err(_) => right.0.clone(),
        }
    }

    fn right_key(&self, right: &Right) -> String {
        right.0.clone()
    }
}
