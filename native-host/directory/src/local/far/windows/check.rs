//! What sessions will need of the machine, looked at before a technician meets what is missing. Nothing is changed.

use ticketgate_protocol::api::Finding;

use super::accounts::group;
use super::sam::Sam;
use super::{FarError, TASK, Windows};
use crate::generate::LENGTH;
use crate::local::LocalRight;

impl<S: Sam> Windows<S> {
    /// Never fails: what is wrong is a finding.
    pub(super) fn checked(&self, rights: &[LocalRight]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |level: &str, text: String, remedy: &str| {
            let (level, subject) = (level.into(), "machine".into());
            findings.push(Finding { level, subject, text, remedy: remedy.into() });
        };
        match self.sam.is_administrator() {
            Ok(true) => add("ok", "its own side acts as an administrator".into(), ""),
            Ok(false) => add(
                "error",
                "its own side does not act as an administrator, and may change no account".into(),
                "Let the broker's key log on as a member of the local group Administrators; a broker of this machine itself has to be a service of \
                 the system.",
            ),
            Err(error) => add("error", FarError::from(error).to_string(), ""),
        }
        match self.sam.is_domain_controller() {
            Ok(false) => {}
            Ok(true) => add(
                "error",
                "this machine is a domain controller, whose accounts are the whole domain's".into(),
                "Use a directory of kind active_directory.",
            ),
            Err(error) => add("error", FarError::from(error).to_string(), ""),
        }
        if let Err(error) = self.read() {
            add("error", error.to_string(), "");
        }
        match self.sam.shortest_password() {
            Ok(length) if usize::try_from(length).is_ok_and(|length| length <= LENGTH) => {
                add("ok", format!("its rules for passwords take one of {LENGTH} random characters"), "");
            }
            Ok(length) => add(
                "error",
                format!("it takes no password of less than {length} characters, and sessions have {LENGTH}"),
                "net accounts /minpwlen:14, or the domain's policy",
            ),
            Err(error) => add("error", FarError::from(error).to_string(), ""),
        }
        for right in rights {
            if let Err(error) = self.allows(right) {
                add("error", error.to_string(), "Name the right there, or take it out of the policy.");
            }
            match self.called(right) {
                Ok(name) => add("ok", format!("{right} is the group {name}"), ""),
                Err(error) => add("error", error.to_string(), "Get-LocalGroup | Select-Object Name, SID"),
            }
        }
        if self.places.task.is_file() {
            add("ok", "a task of the machine ends what is over every minute".into(), "");
        } else {
            add(
                "warning",
                "no task of the machine ends what is over: without a broker, nobody logs on after the end, and groups stay for good".into(),
                &format!("schtasks /create /tn {TASK} … : docs/local-accounts.md"),
            );
        }
        findings
    }

    fn called(&self, right: &LocalRight) -> Result<String, FarError> {
        let sid = group(right)?;
        self.sam
            .group(&sid)?
            .ok_or_else(|| FarError::NoSuchRight(format!("this machine has no local group {sid}")))
    }
}
