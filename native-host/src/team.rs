//! Where the team's broker is, for relay and command line: said by a variable, by the machine's policy or by a file, and never by a
//! browser. Without any of them the broker is this machine's own, behind its socket. Nothing is connected here.

mod address;
mod file;
#[cfg(windows)]
mod registry;

use std::path::PathBuf;

use ticketgate_protocol::problem::{Code, Problem};

use crate::places::{SOCKET_VARIABLE, Surroundings};

pub use address::{Address, BadAddress};

/// Names the team's broker: one address or several, with spaces or commas between them; `local` for this machine's own.
pub const BROKER_VARIABLE: &str = "TICKETGATE_BROKER";
/// Names the file of authorities that vouch for the broker of [`BROKER_VARIABLE`].
pub const CA_VARIABLE: &str = "TICKETGATE_BROKER_CA";
/// Names the file of the client certificate for the broker of [`BROKER_VARIABLE`].
pub const CERTIFICATE_VARIABLE: &str = "TICKETGATE_BROKER_CERTIFICATE";
/// Names the file of that certificate's key.
pub const KEY_VARIABLE: &str = "TICKETGATE_BROKER_KEY";
/// The word for this machine's own broker.
const LOCAL: &str = "local";
/// The most addresses of one broker. Each that does not answer costs a part of a second.
const ADDRESSES_MAX: usize = 16;

/// The team's broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Where it answers, the first one first; never empty.
    pub addresses: Vec<Address>,
    /// Who vouches for it; the operating system's authorities without it.
    pub ca_file: Option<PathBuf>,
    /// What this machine shows it, where it asks for a certificate.
    pub certificate: Option<Certificate>,
    /// Who said so.
    pub said_by: SaidBy,
}

/// A client certificate and its key, each in a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those between it and its authority.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Who says where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaidBy {
    /// [`BROKER_VARIABLE`].
    Variable,
    /// The machine's policy in the registry of Windows.
    Policy,
    /// A file.
    File(PathBuf),
}

impl std::fmt::Display for SaidBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => f.write_str(BROKER_VARIABLE),
            Self::Policy => f.write_str(r"the policy HKLM\SOFTWARE\Policies\Ticketgate"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What was said cannot be followed, so no broker is used: another one than the one that was meant would be worse than none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{by}: {why}")]
pub struct BadTeam {
    /// Who said it.
    pub by: SaidBy,
    /// What is wrong with it, without what stands there: this may be shown in a browser.
    pub why: String,
    /// What mends it.
    pub remedy: String,
}

impl BadTeam {
    fn new(by: &SaidBy, why: impl Into<String>) -> Self {
        let remedy = "Mend it, then run: ticketgate doctor".into();
        Self { by: by.clone(), why: why.into(), remedy }
    }
}

impl From<BadTeam> for Problem {
    fn from(bad: BadTeam) -> Self {
        Self::new(Code::BrokerUnreachable, format!("It is not clear where the broker is. {bad}."))
            .remedy(bad.remedy)
    }
}

/// Finds the team's broker; nothing where the broker is this machine's own.
///
/// - [`BROKER_VARIABLE`], else a socket that is named ([`SOCKET_VARIABLE`]): that one;
/// - on Windows the machine's policy;
/// - the machine's `relay.toml` (`/etc/ticketgate`), so that a person's own never leads elsewhere than the administrator said;
/// - the person's `relay.toml` (`~/.config/ticketgate`).
///
/// # Errors
/// [`BadTeam`]
pub fn find(around: &Surroundings) -> Result<Option<Team>, BadTeam> {
    if let Some(said) = around.variable(BROKER_VARIABLE) {
        return of_variable(around, &said.to_string_lossy());
    }
    if around.variable(SOCKET_VARIABLE).is_some() {
        return Ok(None);
    }
    #[cfg(windows)]
    if let Some(team) = registry::read()? {
        return Ok(Some(team));
    }
    let machine = Some(around.system_config().join(file::NAME));
    let person = around.config_home().map(|home| home.join("ticketgate").join(file::NAME));
    for path in [machine, person].into_iter().flatten() {
        if let Some(team) = file::read(&path)? {
            return Ok(Some(team));
        }
    }
    Ok(None)
}

fn of_variable(around: &Surroundings, said: &str) -> Result<Option<Team>, BadTeam> {
    let by = SaidBy::Variable;
    if said.trim() == LOCAL {
        return Ok(None);
    }
    let file = |name| around.variable(name).map(PathBuf::from);
    let words = said.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    let certificate = pair(&by, file(CERTIFICATE_VARIABLE), file(KEY_VARIABLE))?;
    let addresses = addresses(&by, words)?;
    Ok(Some(Team { addresses, ca_file: file(CA_VARIABLE), certificate, said_by: by }))
}

/// Addresses as they were said.
fn addresses<'a>(by: &SaidBy, said: impl Iterator<Item = &'a str>) -> Result<Vec<Address>, BadTeam> {
    let mut all: Vec<Address> = Vec::new();
    for (at, text) in said.enumerate() {
        let address = text
            .parse::<Address>()
            .map_err(|why| BadTeam::new(by, format!("address {} of the broker {why}", at + 1)))?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    match all.len() {
        0 => Err(BadTeam::new(by, "it names no address of a broker")),
        1..=ADDRESSES_MAX => Ok(all),
        n => Err(BadTeam::new(by, format!("it names {n} addresses; at most {ADDRESSES_MAX} are tried"))),
    }
}

fn pair(by: &SaidBy, chain: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Certificate>, BadTeam> {
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some(Certificate { chain, key })),
        (None, None) => Ok(None),
        _ => Err(BadTeam::new(
            by,
            "a client certificate needs its key, and a key its certificate; one is missing",
        )),
    }
}

#[cfg(all(test, unix))]
mod tests;
