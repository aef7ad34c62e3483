//! What a team's broker is told: who is signed in, tokens of automation, people who leave, the ledger that brokers share.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ticketgate_protocol::ids::{CustomerId, TechnicianId};

use super::times::days;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SignIns {
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
pub(in crate::cli) enum Tokens {
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
pub(in crate::cli) enum Technicians {
    /// Ends somebody's sign-ins and sessions everywhere, and says where each account stands. Can be repeated.
    Remove {
        /// The technician's id.
        id: TechnicianId,
        /// Also deletes the dedicated accounts, at every customer.
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Ledger {
    /// Copies the ledger of the state folder into PostgreSQL, and compares all of it. Stop the broker first; broken off, run it again.
    Copy(LedgerCopy),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LedgerCopy {
    /// Where to, as libpq has it: "host=db.example dbname=ticketgate user=ticketgate"; without it what `[ledger]` says.
    #[arg(long, value_name = "DATABASE")]
    pub(in crate::cli) to: Option<String>,
    /// The file with the password of the database's user.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(in crate::cli) password_file: Option<PathBuf>,
    /// The file with the authorities (PEM) that vouch for the database's server.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(in crate::cli) ca_file: Option<PathBuf>,
}
