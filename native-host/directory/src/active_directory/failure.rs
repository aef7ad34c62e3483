//! What went wrong on a connection, and what it means. Result codes are those of RFC 4511 appendix A; the numbers inside a
//! refused bind (`data 52e`) are Windows' own.

use ldap3::{LdapError, LdapResult};

use crate::DirectoryError;

/// Why an operation brought no success.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection was gone before the request went out: nothing happened.
    NotSent(String),
    /// No answer in time, or cut after the request went out: it may have happened.
    Lost(String),
    /// The server said no.
    Refused(Refusal),
}

/// A server's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The result code.
    pub(crate) code: u32,
    /// The server's own words.
    pub(crate) text: String,
}

/// Result codes that mean something to a caller.
pub(crate) mod code {
    pub(crate) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(crate) const NO_SUCH_OBJECT: u32 = 32;
    pub(crate) const INSUFFICIENT_RIGHTS: u32 = 50;
    pub(crate) const UNWILLING: u32 = 53;
    pub(crate) const ALREADY_EXISTS: u32 = 68;
}

impl Trouble {
    /// From the LDAP crate. `OpSend` means that its sender was gone already.
    pub(crate) fn from_ldap(error: LdapError) -> Self {
        match error {
            LdapError::OpSend { .. } => Self::NotSent("the connection was closed".into()),
            LdapError::Timeout { .. } => Self::Lost("no answer in time".into()),
            LdapError::ResultRecv { .. } | LdapError::EndOfStream => {
                Self::Lost("the connection was cut".into())
            }
            LdapError::LdapResult { result } => Self::Refused(result.into()),
            other => Self::Lost(other.to_string()),
        }
    }

    /// Whether the connection is to blame and another one may do.
    pub(crate) const fn is_connection(&self) -> bool {
        matches!(self, Self::NotSent(_) | Self::Lost(_))
    }

    /// The server's no to what was asked about `subject`, when it is one with this code.
    pub(crate) fn is(&self, codes: &[u32]) -> bool {
        matches!(self, Self::Refused(refusal) if codes.contains(&refusal.code))
    }

    /// What it means where something was read: nothing can have changed.
    pub(crate) fn reading(self, subject: &str) -> DirectoryError {
        match self {
            Self::NotSent(why) | Self::Lost(why) => DirectoryError::Unreachable(format!("{subject}: {why}")),
            Self::Refused(refusal) => refusal.meaning(subject),
        }
    }

    /// What it means where something was written.
    pub(crate) fn writing(self, subject: &str) -> DirectoryError {
        match self {
            Self::NotSent(why) => DirectoryError::Unreachable(format!("{subject}: {why}")),
            Self::Lost(why) => DirectoryError::Ambiguous(format!("{subject}: {why}")),
            Self::Refused(refusal) => refusal.meaning(subject),
        }
    }
}

impl From<LdapResult> for Refusal {
    fn from(result: LdapResult) -> Self {
        Self { code: result.rc, text: result.text }
    }
}

impl Refusal {
    /// What a no to an operation on `subject` means. `Err(32)` stays with the callers, who know what they looked for.
    pub(crate) fn meaning(self, subject: &str) -> DirectoryError {
        let Self { code, text } = self;
        let said = format!("{subject}: result {code} {}", text.trim_end_matches('\0').trim());
        match code {
            3 | 51 | 52 => DirectoryError::Busy(said),
            4 | 11 => DirectoryError::Refused(format!("{said} (the server's limit for one answer)")),
            8 => DirectoryError::Refused(format!("{said} (the server wants an encrypted connection)")),
            10 => DirectoryError::Refused(format!(
                "{said} (the server refers to another one: name a writable domain controller of the right domain in servers)"
            )),
            19 if text.contains("0000052D") => DirectoryError::Refused(format!(
                "{said} (the password does not meet the domain's password policy)"
            )),
            code::NO_SUCH_OBJECT => DirectoryError::NoSuchAccount(said),
            code::INSUFFICIENT_RIGHTS => DirectoryError::NotDelegated(said),
            code::ALREADY_EXISTS => DirectoryError::NameTaken(said),
            34 => DirectoryError::BadValue(said),
            _ => DirectoryError::Refused(said),
        }
    }

    /// What a refused bind of the service account means, with what to do about it.
    pub(crate) fn of_bind(self, bind_dn: &str) -> DirectoryError {
        // Whatever else stopped the bind says nothing against the name and the password.
        if !matches!(self.code, 7 | 8 | 48 | 49 | 50) {
            return self.meaning("bind");
        }
        // An error of the server's own (ERROR_GEN_FAILURE, ERROR_INTERNAL_DB_CORRUPTION, ERROR_INTERNAL_ERROR), which passes.
        if matches!(self.bind_reason(), Some("1f" | "54e" | "54f")) {
            return DirectoryError::Busy(format!("bind: {}", self.text.trim_end_matches('\0').trim()));
        }
        let (reason, remedy) = match self.bind_reason() {
            Some("52e") => (
                "wrong name or password",
                "put its current password where the configuration says that it is kept",
            ),
            Some("525") => ("there is no such account", "correct bind_dn"),
            Some("530") => ("it may not log on at this hour", "allow it all hours"),
            Some("531") => ("it may not log on from this machine", "allow it this machine, or every machine"),
            Some("532") => (
                "its password is too old",
                "set a new one and let it never expire (userAccountControl 0x10000)",
            ),
            Some("533") => ("it is disabled", "enable it"),
            Some("701") => {
                ("it has expired", "take its expiry away: Set-ADUser NAME -AccountExpirationDate $null")
            }
            Some("773") => (
                "it has to change its password first",
                "set its password without \"must change at next logon\"",
            ),
            Some("775") => (
                "it is locked out",
                "unlock it and look for whoever tries wrong passwords: Unlock-ADAccount NAME",
            ),
            _ => ("refused", "see the server's words"),
        };
        let said = self.text.trim_end_matches('\0').trim();
        DirectoryError::Bind(format!("{bind_dn}: {reason}; {remedy} (result {}, {said})", self.code))
    }

    /// Windows' own reason of a refused bind: the hexadecimal number after `data`.
    pub(crate) fn bind_reason(&self) -> Option<&str> {
        (self.code == 49)
            .then(|| self.text.split("data ").nth(1))?
            .map(|rest| rest.split([',', ' ']).next().unwrap_or(rest))
    }
}

/// Why no connection came about.
pub(crate) fn connecting(server: &str, error: &LdapError) -> DirectoryError {
    let tls = match error {
        LdapError::Io { source } => source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        LdapError::Rustls { source } => Some(source),
        _ => None,
    };
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            use rustls::CertificateError as C;
            let remedy = match why {
                C::Expired | C::ExpiredContext { .. } => {
                    "renew the server's certificate, and look at both clocks"
                }
                C::NotValidYet | C::NotValidYetContext { .. } => "look at both clocks",
                C::NotValidForName | C::NotValidForNameContext { .. } => {
                    "write the server in servers as its certificate names it, or give it a certificate for this name"
                }
                C::UnknownIssuer => "name the authority that signed it in ca_file",
                _ => "give the server a proper certificate",
            };
            DirectoryError::Certificate(format!("{server}: {why}; {remedy}"))
        }
        Some(other) => DirectoryError::Unreachable(format!("{server}: TLS: {other}")),
        None => match error {
            LdapError::LdapResult { result } => DirectoryError::Unreachable(format!(
                "{server}: StartTLS refused (result {} {}); nothing was sent in the clear. Give the server a certificate, or use ldaps://",
                result.rc, result.text
            )),
            LdapError::Timeout { .. } => {
                DirectoryError::Unreachable(format!("{server}: no TLS answer in time"))
            }
            other => DirectoryError::Unreachable(format!("{server}: {other}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u32, text: &str) -> Refusal {
        Refusal { code, text: text.into() }
    }

    #[test]
    fn each_reason_of_a_refused_bind_comes_with_what_to_do() {
        for (data, word) in [
            ("52e", "current password"),
            ("525", "bind_dn"),
            ("532", "never expire"),
            ("533", "enable"),
            ("701", "expiry"),
            ("773", "must change"),
            ("775", "unlock"),
            ("9999", "server's words"),
        ] {
            let text = format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1\0"
            );
            let said = refused(49, &text).of_bind("CN=svc").to_string();
            assert!(said.contains(word) && said.contains("CN=svc"), "{said}");
        }
        assert!(matches!(refused(51, "").of_bind("CN=svc"), DirectoryError::Busy(_)));
        for data in ["1f", "54e", "54f"] {
            let internal = format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"
            );
            assert!(matches!(refused(49, &internal).of_bind("CN=svc"), DirectoryError::Busy(_)), "{data}");
        }
        for code in [1, 10, 53, 80] {
            assert!(matches!(refused(code, "").of_bind("CN=svc"), DirectoryError::Refused(_)), "{code}");
        }
    }

    #[test]
    fn result_codes_mean_what_the_contract_says() {
        let meaning = |code| refused(code, "").meaning("x");
        assert!(matches!(meaning(50), DirectoryError::NotDelegated(_)));
        assert!(matches!(meaning(68), DirectoryError::NameTaken(_)));
        assert!(matches!(meaning(32), DirectoryError::NoSuchAccount(_)));
        for code in [3, 51, 52] {
            assert!(matches!(meaning(code), DirectoryError::Busy(_)), "{code}");
        }
        for code in [1, 4, 8, 10, 11, 16, 19, 21, 53, 65, 80] {
            assert!(matches!(meaning(code), DirectoryError::Refused(_)), "{code}");
        }
    }

    #[test]
    fn only_a_write_that_went_out_is_ambiguous() {
        assert!(Trouble::Lost(String::new()).writing("x").is_ambiguous());
        assert!(!Trouble::NotSent(String::new()).writing("x").is_ambiguous());
        assert!(!Trouble::Lost(String::new()).reading("x").is_ambiguous());
    }
}
