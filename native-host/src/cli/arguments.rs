//! What can be typed. Each command's work is in the file of its name.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, PsaId, SessionId, TechnicianId};

use crate::places::{CONFIG_VARIABLE, SOCKET_VARIABLE, STATE_VARIABLE, Surroundings};

/// Just-in-time administrator access: rights for one ticket that end by themselves.
#[derive(Debug, Parser)]
#[command(name = "ticketgate", version, propagate_version = true)]
pub(super) struct Arguments {
    /// Answers as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The broker's socket.
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of ledger, audit log and keys.
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Arguments {
    /// Puts the places named here before those of the environment.
    pub(super) fn apply_to(&self, around: &mut Surroundings) {
        let named =
            [(CONFIG_VARIABLE, &self.config), (STATE_VARIABLE, &self.state), (SOCKET_VARIABLE, &self.socket)];
        for (name, path) in named {
            if let Some(path) = path {
                around.variables.insert(name.into(), super::absolute(path).into_os_string());
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows who you are, your open sessions and anything that needs attention.
    Status,
    /// Activates a policy: rights for a ticket, for a time.
    Activate(Activate),
    /// Moves a session's end.
    Extend(Extend),
    /// Ends a session now.
    End(One),
    /// Ends every session of a technician or at a customer.
    EndAll(EndAll),
    /// Lists sessions.
    Sessions(Sessions),
    /// Prints an open session's password, once; for machines without a clipboard.
    Password(Password),
    /// Reads, checks and exports the audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Moves this machine's ledger into a database that several brokers share.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Says what to write into the configuration so that tickets find their customers; changes nothing.
    #[command(subcommand)]
    Customers(Customers),
    /// Keeps the directories' passwords in the operating system's key store, for `password = { keyring = "NAME" }`.
    #[command(subcommand)]
    Secret(Secret),
    /// Signs you in to your team's broker.
    SignIn(SignIn),
    /// Signs you out of your team's broker, in every browser of this machine.
    SignOut,
    /// Signs a person in to tenants of Entra ID (`sign_in = "technician"`), and lists a partner's tenants.
    #[command(subcommand)]
    Entra(Entra),
    /// Lists and ends sign-ins of people at this broker from elsewhere.
    #[command(subcommand)]
    SignIns(SignIns),
    /// Makes, lists and revokes tokens for automation.
    #[command(subcommand)]
    Tokens(Tokens),
    /// Ends everything of somebody who leaves.
    #[command(subcommand)]
    Technicians(Technicians),
    /// Checks, lists and tries the rules by which ticket pages are recognised.
    #[command(subcommand)]
    Rules(Rules),
    /// Looks through the configuration, every directory and every ticket system for what sessions will need; changes nothing.
    Check(Check),
    /// Takes away whatever is over; for a timer of the operating system when no broker runs.
    Sweep,
    /// After a lost or damaged ledger: finds what it opened by the notes in the directories, and ends it. Stop the broker first.
    Recover(Recover),
    /// Runs the broker.
    Broker(Broker),
    /// The accounts of this machine itself: makes it ready for sessions, and ends what is over. Needs root.
    #[cfg(any(target_os = "linux", windows))]
    #[command(subcommand)]
    Local(Local),
    /// Makes browsers find this program.
    Install(crate::install::Options),
    /// Ends what is open, then takes back what `install` did.
    Uninstall(Uninstall),
    /// Finds out why something does not work, and says how to mend it.
    Doctor(crate::doctor::Options),
    /// Keeps a copied password in the clipboard until its time is over.
    #[command(hide = true)]
    ClipboardHolder,
}

#[derive(Debug, Subcommand)]
pub(super) enum SignIns {
    /// Lists those that are good.
    List,
    /// Ends some, at once.
    Revoke {
        /// All of this technician.
        #[arg(long, conflicts_with_all = ["id", "everybody"], required_unless_present_any = ["id", "everybody"])]
        technician: Option<TechnicianId>,
        /// This one.
        #[arg(long, conflicts_with = "everybody")]
        id: Option<String>,
        /// Everybody's.
        #[arg(long)]
        everybody: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Lists them.
    List,
    /// Makes one, and shows it this once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do: sessions:read, sessions:end, audit:read, check. Can be named more than once.
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// At this customer alone. Can be named more than once; at every customer without it.
        #[arg(long)]
        customer: Vec<CustomerId>,
        /// For how long it is good: 90d, 12h, 30m.
        #[arg(long, value_name = "TIME", value_parser = days)]
        lasts: i64,
    },
    /// Revokes one, at once.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Technicians {
    /// Ends somebody's sign-ins and sessions everywhere, and says where each account stands. Can be repeated.
    Remove {
        /// The technician's id.
        id: TechnicianId,
        /// Also deletes the dedicated accounts, at every customer.
        #[arg(long)]
        purge: bool,
    },
}

#[cfg(any(target_os = "linux", windows))]
#[derive(Debug, Subcommand)]
pub(super) enum Local {
    /// Puts in place what sessions on this machine need, and says how a broker elsewhere gets in.
    #[cfg(target_os = "linux")]
    Install(crate::install::local::Options),
    /// Closes the accounts that are over; for a timer of the machine. Needs no broker.
    Sweep {
        /// Goes on for ever, with this time between two; for machines without systemd and cron.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        every: Option<i64>,
    },
    /// Answers a broker's requests on standard input and output; for a socket of systemd, and as the one command of an SSH key.
    Serve,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Copies the ledger of the state folder into PostgreSQL, and compares all of it. Stop the broker first; broken off, run it again.
    Copy(LedgerCopy),
}

#[derive(Debug, Args)]
pub(super) struct LedgerCopy {
    /// Where to, as libpq has it: "host=db.example dbname=ticketgate user=ticketgate"; without it what `[ledger]` says.
    #[arg(long, value_name = "DATABASE")]
    pub(super) to: Option<String>,
    /// The file with the password of the database's user.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(super) password_file: Option<std::path::PathBuf>,
    /// The file with the authorities (PEM) that vouch for the database's server.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(super) ca_file: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Activate {
    /// The policy's id.
    pub(super) policy: PolicyId,
    /// For how long: 30m, 1h, 1h30m, 90s; the policy's own default without it.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub(super) duration: Option<i64>,
    /// Why; made from the ticket without it.
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// The ticket's number.
    #[arg(long)]
    pub(super) ticket: Option<String>,
    /// The ticket's address.
    #[arg(long, requires = "ticket", value_name = "URL")]
    pub(super) ticket_url: Option<String>,
    /// The ticket's summary.
    #[arg(long, requires = "ticket", value_name = "TEXT")]
    pub(super) summary: Option<String>,
    /// Only says whether it would be granted.
    #[arg(long)]
    pub(super) preview: bool,
}

#[derive(Debug, Args)]
pub(super) struct SignIn {
    /// On another device, with a code: for machines without a browser.
    #[arg(long)]
    pub(super) device: bool,
    /// Asked for by a browser's relay: says nothing meanwhile, and needs a browser that opens.
    #[arg(long, hide = true, conflicts_with = "device")]
    pub(super) from_a_browser: bool,
    /// Renews the sign-in that began then (milliseconds since 1970), without a person; for relays.
    #[arg(long, hide = true, value_name = "BEGAN", conflicts_with_all = ["device", "from_a_browser"])]
    pub(super) renew: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The session's id, or a beginning of it that only one open session has.
    pub(super) session: String,
}

#[derive(Debug, Args)]
pub(super) struct Extend {
    /// The session's id, or a beginning of it that only one open session has.
    pub(super) session: String,
    /// By how long: 30m, 1h.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = seconds)]
    pub(super) by: i64,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct EndAll {
    /// Every session of this technician.
    #[arg(long)]
    pub(super) technician: Option<TechnicianId>,
    /// Every session at this customer.
    #[arg(long)]
    pub(super) customer: Option<CustomerId>,
}

#[derive(Debug, Args)]
pub(super) struct Sessions {
    /// This technician's (administrators).
    #[arg(long)]
    pub(super) technician: Option<TechnicianId>,
    /// At this customer.
    #[arg(long)]
    pub(super) customer: Option<CustomerId>,
    /// Also those that are over.
    #[arg(long)]
    pub(super) past: bool,
    /// Everybody's (administrators).
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct Password {
    /// The session's id, or a beginning of it that only one open session has.
    pub(super) session: String,
    /// Sets a new password first; the old one then stops working.
    #[arg(long)]
    pub(super) new: bool,
    /// In which directory, where the session has passwords in several.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) directory: Option<DirectoryId>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Shows the newest records.
    Show(AuditShow),
    /// Checks every hash and signature; names the first record that is broken.
    Verify {
        /// This customer's records only.
        #[arg(long)]
        customer: Option<CustomerId>,
    },
    /// Writes all records you may read to standard output.
    Export {
        /// `jsonl` or `csv`.
        #[arg(long, default_value = "jsonl", value_parser = ["jsonl", "csv"])]
        format: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Customers {
    /// Compares a ticket system's companies with the customers, and prints TOML for those that are new and what others lack.
    Import(CustomersImport),
    /// Lists companies that tickets named and no customer is called, with the aliases to add for those who were picked.
    Unmatched,
}

#[derive(Debug, Subcommand)]
pub(super) enum Entra {
    /// Signs you in to a tenant, in the system's browser; the broker then acts there by it.
    SignIn {
        /// The directory's id.
        directory: DirectoryId,
        /// By a code that you enter in a browser of any device instead.
        #[arg(long)]
        device: bool,
    },
    /// Forgets the sign-in to a tenant.
    SignOut {
        /// The directory's id.
        directory: DirectoryId,
    },
    /// Lists the tenants of a partner's customers (GDAP), and prints TOML for those that the configuration lacks.
    Tenants {
        /// The id of a directory that people of the partner sign in to.
        directory: DirectoryId,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct CustomersImport {
    /// The ticket system that is asked, or, with --csv, whose ids the file has.
    #[arg(long, value_name = "ID")]
    pub(super) psa: Option<PsaId>,
    /// Reads this CSV file instead of asking.
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// The column of ids: its number from 1, or the word over it.
    #[arg(long, value_name = "COLUMN", requires = "csv")]
    pub(super) id_column: Option<String>,
    /// The column of names.
    #[arg(long, value_name = "COLUMN", requires = "csv")]
    pub(super) name_column: Option<String>,
    /// The column of the domains of e-mail addresses.
    #[arg(long, value_name = "COLUMN", requires = "csv")]
    pub(super) domain_column: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RulesTest {
    /// The page, saved by the browser as "HTML only", or copied from its developer tools.
    #[arg(value_name = "SAVED.html")]
    pub(super) page: PathBuf,
    /// The address that the page had.
    #[arg(long)]
    pub(super) url: String,
    /// Rules of a folder (`*.json`) instead of those that are built in.
    #[arg(long, value_name = "FOLDER")]
    pub(super) rules: Option<PathBuf>,
    /// Only this system's rule.
    #[arg(long, value_name = "ID")]
    pub(super) system: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Secret {
    /// Asks for a password, without showing it, and keeps it; from a pipe the first line is taken.
    Set(SecretName),
    /// Forgets a password.
    Remove(SecretName),
}

#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Names every fault of rule files with its line, and what to write instead.
    Check {
        /// Files, and folders of `*.json`; the configured folder without any.
        #[arg(value_name = "FILE|FOLDER")]
        places: Vec<PathBuf>,
    },
    /// Lists the rules in the order in which they count: the configured folder's, then those that are built in.
    List,
    /// Reads a saved page and says step by step what the rules take from it, and why.
    Test(RulesTest),
}

#[derive(Debug, Args)]
pub(super) struct SecretName {
    /// The name after `keyring =` in the configuration.
    pub(super) name: String,
}

#[derive(Debug, Args)]
pub(super) struct AuditShow {
    /// This customer's only.
    #[arg(long)]
    pub(super) customer: Option<CustomerId>,
    /// From then on (RFC 3339, `2026-11-22T08:00:00Z`).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<chrono::DateTime<chrono::Utc>>,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 50)]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    pub(super) options: crate::install::Options,
    /// Leaves open sessions to the directory, which ends them at their time.
    #[arg(long)]
    pub(super) leave_sessions: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also tries it in each directory, with an account of its own that is never enabled and deleted at once.
    #[arg(long)]
    pub(super) rehearse: bool,
}

#[derive(Debug, Args)]
pub(super) struct Recover {
    /// Puts a ledger that cannot be used aside, ends what can still be read of it, and begins a new one.
    #[arg(long)]
    pub(super) new_ledger: bool,
}

#[derive(Debug, Args)]
pub(super) struct Broker {
    /// Stops by itself when nothing has been open or asked for in 15 minutes.
    #[arg(long)]
    pub(super) on_demand: bool,
    /// Lets every user of the machine connect; the kernel tells the broker who each is. For a service of the system.
    #[arg(long, conflicts_with = "on_demand")]
    pub(super) for_everyone: bool,
    /// Runs as a service of Windows, with the machine's configuration, state and pipe; the service manager starts and stops it.
    #[cfg(windows)]
    #[arg(long, conflicts_with = "on_demand")]
    pub(super) service: bool,
}

/// Reads `1h30m`, `90s`, `45m`.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a time: write 30m, 1h, 1h30m or 90s");
    let mut total: i64 = 0;
    let mut number = String::new();
    for c in text.trim().chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        let count: i64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|s| total.checked_add(s)).ok_or_else(wrong)?;
    }
    if number.is_empty() && !text.trim().is_empty() { Ok(total) } else { Err(wrong()) }
}

/// The same with days before it: `30d`, `1d12h`.
fn days(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let Some((days, rest)) = text.split_once('d') else { return seconds(text) };
    let wrong = || format!("{text:?} is not a time: write 30d, 12h or 1d12h");
    let days: i64 = days.parse::<u32>().map_err(|_| wrong())?.into();
    let rest = if rest.is_empty() { 0 } else { seconds(rest).map_err(|_| wrong())? };
    days.checked_mul(86_400).and_then(|days| days.checked_add(rest)).ok_or_else(wrong)
}

/// Finds the one id that begins so.
pub(super) fn by_beginning(ids: &[SessionId], beginning: &str) -> Option<SessionId> {
    let mut matching = ids.iter().filter(|id| id.as_str().starts_with(beginning));
    let first = matching.next()?;
    matching.next().is_none().then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("45s"), Ok(45));
        for wrong in ["", "1", "h", "1d", "-5m", "1h30", "9999999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_come_before_hours() {
        assert_eq!(days("30d"), Ok(30 * 86_400));
        assert_eq!(days("1d12h"), Ok(36 * 3600));
        assert_eq!(days("90m"), Ok(5400));
        for wrong in ["", "d", "-1d", "1d1d", "1d 1", "1h1d"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
