//! Who is calling: the operating system's user behind the connection, as a technician of the configuration.

use ticketgate_access::config::Config;
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};

/// Whoever made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The operating system's user name.
    pub login: String,
    /// The technician with this login.
    pub technician: Option<TechnicianId>,
    /// Whether this caller may act for everybody: a configured administrator, or the machine's own.
    pub administrator: bool,
    /// Whether this is the very user that the broker runs as: who owns its files may have it do its rounds.
    pub own: bool,
    /// Whether there is a configuration at all that could name a technician.
    pub configured: bool,
}

impl Caller {
    /// The caller with this login under this configuration. `superuser` is the machine's administrator.
    #[must_use]
    pub fn identify(config: Option<&Config>, login: &str, superuser: bool) -> Self {
        let technician = config.and_then(|c| c.technician_by_login(login)).map(|t| t.id.clone());
        let named = match (config, &technician) {
            (Some(config), Some(id)) => config.broker.administrators.contains(id),
            _ => false,
        };
        Self {
            login: login.to_owned(),
            technician,
            administrator: superuser || named,
            own: false,
            configured: config.is_some(),
        }
    }

    /// The technician, or why there is none.
    ///
    /// # Errors
    /// [`Code::NotATechnician`]; [`Code::BadConfiguration`] when that is not the person's fault.
    pub fn technician(&self) -> Result<&TechnicianId, Problem> {
        self.technician.as_ref().ok_or_else(|| {
            if !self.configured {
                return Problem::new(
                    Code::BadConfiguration,
                    "The broker has no valid configuration, so nothing can be granted.",
                )
                .remedy("Ask an administrator to run `ticketgate check`.");
            }
            Problem::new(
                Code::NotATechnician,
                "Your user on this machine is not a technician in the broker's configuration.",
            )
            .remedy(format!(
                "Ask an administrator to add a [[technician]] with login = \"{}\".",
                self.login.escape_default()
            ))
        })
    }

    /// Refuses everybody but administrators.
    ///
    /// # Errors
    /// [`Code::NotAnAdministrator`]
    pub fn require_administrator(&self) -> Result<(), Problem> {
        if self.administrator {
            return Ok(());
        }
        Err(Problem::new(Code::NotAnAdministrator, "Only an administrator of the broker may do this.")
            .remedy("Ask one of them, or to be added to `administrators` in the configuration."))
    }

    /// Refuses everybody but administrators and the broker's own user (the sweep's timer).
    ///
    /// # Errors
    /// [`Code::NotAnAdministrator`]
    pub fn require_own_or_administrator(&self) -> Result<(), Problem> {
        if self.own { Ok(()) } else { self.require_administrator() }
    }

    /// The name in audit records.
    #[must_use]
    pub fn actor(&self) -> String {
        self.technician
            .as_ref()
            .map_or_else(|| format!("user:{}", self.login.escape_default()), ToString::to_string)
    }
}
