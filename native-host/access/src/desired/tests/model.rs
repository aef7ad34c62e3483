//! A directory with one account, for the tests of the plan: it does what a step says and nothing else.

use crate::desired::*;

/// A directory with one account, that does what a step says and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) skew: TimeDelta,
    /// Whether it ends a membership by itself.
    pub(super) self_ending: SelfEnding,
    /// Whether it knows an end of accounts.
    pub(super) keeps_ends: bool,
    pub(super) account: Option<ModelAccount>,
    pub(super) made: u32,
}

#[derive(Debug, Clone)]
pub(super) struct ModelAccount {
    pub(super) identity: String,
    pub(super) enabled: bool,
    pub(super) end: DirectoryEnd,
    pub(super) rights: BTreeMap<Right, Option<DateTime<Utc>>>,
    pub(super) marker: Option<Marker>,
    /// A right that hides as the primary group.
    pub(super) hidden: Option<Right>,
}

impl ModelAccount {
    /// Whether the directory stops it by then (broker's clock), or, where it knows no ends, its note says that the broker does.
    pub(super) fn stops_by(&self, latest: DateTime<Utc>, skew: TimeDelta) -> bool {
        match self.end {
            DirectoryEnd::At(end) => end <= latest + skew,
            DirectoryEnd::NotKept => {
                self.marker.as_ref().and_then(|m| m.until).is_some_and(|until| until <= latest)
            }
            DirectoryEnd::Never => false,
        }
    }
}

impl Model {
    /// An end as this directory has it.
    pub(super) fn kept(&self, end: DirectoryEnd) -> DirectoryEnd {
        if self.keeps_ends { end } else { DirectoryEnd::NotKept }
    }

    pub(super) fn time(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.skew
    }

    pub(super) fn observe(&mut self, now: DateTime<Utc>) -> Observed {
        self.expire(now);
        Observed {
            directory_time: floor_to_second(self.time(now)),
            self_ending: self.self_ending,
            account: self.account.as_ref().map(|a| ObservedAccount {
                identity: a.identity.clone(),
                place: "CN=jit-tech1,OU=JIT".into(),
                display_name: "ACME\\jit-tech1".into(),
                enabled: a.enabled,
                end: a.end,
                rights: a.rights.keys().cloned().collect(),
                right_ends: a.rights.iter().filter_map(|(r, end)| Some((r.clone(), (*end)?))).collect(),
                marker: a.marker.clone(),
                own: BTreeSet::new(),
                ordinary_primary_group: a.hidden.is_none(),
            }),
            behind: false,
        }
    }

    /// What the directory ends by itself.
    pub(super) fn expire(&mut self, now: DateTime<Utc>) {
        let time = self.time(now);
        if let Some(account) = &mut self.account {
            account.rights.retain(|_, end| end.is_none_or(|end| end > time));
        }
    }

    pub(super) fn apply(&mut self, step: &Step, now: DateTime<Utc>) {
        let past = self.kept(DirectoryEnd::At(self.time(now) - TimeDelta::days(1)));
        if let Step::Create(marker) = step {
            assert!(self.account.is_none(), "an account is made where one is");
            self.made += 1;
            self.account = Some(ModelAccount {
                identity: format!("guid-{}", self.made),
                enabled: false,
                end: past,
                rights: BTreeMap::new(),
                marker: Some(marker.clone()),
                hidden: None,
            });
            return;
        }
        if *step == Step::Delete {
            self.account = None;
            return;
        }
        let keeps_ends = self.keeps_ends;
        let at = |until| if keeps_ends { DirectoryEnd::At(until) } else { DirectoryEnd::NotKept };
        let account = self.account.as_mut().expect("a step on an account that is not there");
        match step {
            Step::Create(_) | Step::Delete => unreachable!(),
            Step::Grant { right, until, .. } => {
                account.rights.insert(right.clone(), until.filter(|_| self.self_ending.ends(right)));
            }
            Step::Revoke(right) => drop(account.rights.remove(right)),
            // The directory turns the former primary group into an ordinary membership.
            Step::ResetPrimaryGroup => {
                account.rights.extend(account.hidden.take().map(|right| (right, None)));
            }
            Step::Open { until, marker } => {
                (account.enabled, account.end, account.marker) = (true, at(*until), Some(marker.clone()));
            }
            Step::SetEnd { until, marker } => {
                (account.end, account.marker) = (at(*until), Some(marker.clone()));
            }
            Step::Close => (account.enabled, account.end) = (false, past),
            Step::Rotate(marker) => account.marker = Some(marker.clone()),
        }
    }
}
