//! Who is calling, and what they may do: a technician of the configuration, known by the operating system's user behind a local
//! connection or by a sign-in, or a token of automation.

use std::collections::BTreeSet;

use ticketgate_access::config::{Config, Role};
use ticketgate_access::decide::Asker;
use ticketgate_access::roles::{Reach, Roles};
use ticketgate_protocol::ids::{CustomerId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

/// Whoever made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The operating system's user name, or how a sign-in or token is called.
    pub login: String,
    /// The technician that this is, if the role of one is theirs anywhere.
    pub technician: Option<TechnicianId>,
    /// The same whatever the roles.
    pub person: Option<TechnicianId>,
    /// Whether this caller may act for everybody everywhere: a configured administrator, or the machine's own.
    pub administrator: bool,
    /// Whether this is the very user that the broker runs as: who owns its files may have it do its rounds.
    pub own: bool,
    /// Whether there is a configuration at all that could name a technician.
    pub configured: bool,
    /// Groups beside those of the configuration: what the provider said at the sign-in.
    pub groups: BTreeSet<String>,
    /// What this caller may do, and where.
    pub roles: Roles,
    /// By what this caller is known.
    pub by: By,
}

/// By what a caller is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The operating system, at the local socket.
    Local,
    /// A sign-in, by its id.
    SignIn(String),
    /// A token of automation.
    Token {
        /// Its id.
        id: String,
        /// What it may do.
        scopes: BTreeSet<Scope>,
        /// Where.
        reach: Reach,
    },
}

/// What a token of automation may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See sessions.
    SessionsRead,
    /// End sessions.
    SessionsEnd,
    /// Read and verify the audit log.
    AuditRead,
    /// Have everything that sessions need looked at.
    Check,
    /// Read the broker's numbers.
    Metrics,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::SessionsRead, Self::SessionsEnd, Self::AuditRead, Self::Check, Self::Metrics];

    /// The word that people write.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SessionsRead => "sessions:read",
            Self::SessionsEnd => "sessions:end",
            Self::AuditRead => "audit:read",
            Self::Check => "check",
            Self::Metrics => "metrics",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

impl Caller {
    /// The caller with this login under this configuration. `superuser` is the machine's administrator.
    #[must_use]
    pub fn identify(config: Option<&Config>, login: &str, superuser: bool) -> Self {
        let person = config.and_then(|c| c.technician_by_login(login)).map(|t| t.id.clone());
        let caller = Self::person(config, person, BTreeSet::new(), login, By::Local);
        if !superuser {
            return caller;
        }
        let roles = caller.roles.clone().with(Role::Administrator, &Reach::Everywhere);
        Self { administrator: true, roles, ..caller }
    }

    /// A person of the configuration, or nobody's.
    pub(super) fn person(
        config: Option<&Config>,
        person: Option<TechnicianId>,
        groups: BTreeSet<String>,
        login: &str,
        by: By,
    ) -> Self {
        let roles = match (config, &person) {
            (Some(config), Some(person)) => Roles::of(config, person, &groups),
            _ => Roles::none(),
        };
        Self {
            login: login.to_owned(),
            technician: person.clone().filter(|_| roles.has_any(&[Role::Technician])),
            person,
            administrator: *roles.reach(Role::Administrator) == Reach::Everywhere,
            own: false,
            configured: config.is_some(),
            groups,
            roles,
            by,
        }
    }

    /// Automation with a token.
    pub(super) fn token(id: &str, name: &str, scopes: BTreeSet<Scope>, reach: Reach) -> Self {
        Self {
            by: By::Token { id: id.to_owned(), scopes, reach },
            configured: true,
            ..Self::person(None, None, BTreeSet::new(), name, By::Local)
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
            if self.person.is_some() || self.by != By::Local {
                return Problem::new(Code::NotATechnician, "Your role is not that of a technician.")
                    .remedy("Ask an administrator for a [[role]] with role = \"technician\".");
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

    /// The technician with everything that a decision on rights depends on.
    ///
    /// # Errors
    /// As [`Caller::technician`].
    pub fn asker(&self) -> Result<Asker<'_>, Problem> {
        Ok(Asker {
            technician: self.technician()?,
            groups: &self.groups,
            reach: self.roles.reach(Role::Technician),
        })
    }

    /// Refuses everybody but administrators of everything.
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

    /// Refuses whoever may not read the broker's numbers: they are those of all customers.
    ///
    /// # Errors
    /// [`Code::NotAnAdministrator`]
    pub fn require_metrics(&self) -> Result<(), Problem> {
        let reach = self.with_scope(Scope::Metrics, &[Role::Administrator]);
        if self.own || reach == Reach::Everywhere { Ok(()) } else { Err(not_reached()) }
    }

    /// At which customers this caller sees everybody's sessions.
    #[must_use]
    pub fn sees_sessions(&self) -> Reach {
        self.with_scope(Scope::SessionsRead, &[Role::Administrator, Role::Auditor, Role::Approver])
    }

    /// At which customers this caller ends everybody's sessions.
    #[must_use]
    pub fn ends_sessions(&self) -> Reach {
        self.with_scope(Scope::SessionsEnd, &[Role::Administrator])
    }

    /// At which customers this caller reads everybody's audit records.
    #[must_use]
    pub fn reads_audit(&self) -> Reach {
        self.with_scope(Scope::AuditRead, &[Role::Administrator, Role::Auditor])
    }

    fn with_scope(&self, scope: Scope, roles: &[Role]) -> Reach {
        match &self.by {
            By::Token { scopes, reach, .. } if scopes.contains(&scope) => reach.clone(),
            By::Token { .. } => Reach::nowhere(),
            _ if self.administrator => Reach::Everywhere,
            By::Local | By::SignIn(_) => {
                roles.iter().fold(Reach::nowhere(), |all, role| all.or(self.roles.reach(*role)))
            }
        }
    }

    /// The name in audit records.
    #[must_use]
    pub fn actor(&self) -> String {
        match (&self.person, &self.by) {
            (Some(person), _) => person.to_string(),
            (None, By::Token { id, .. }) => format!("token:{id}"),
            (None, _) => format!("user:{}", self.login.escape_default()),
        }
    }
}

/// The one customer that a question is about, where the asker may ask about some only.
///
/// # Errors
/// [`Code::NotAnAdministrator`]: not that customer; [`Code::MalformedRequest`]: none was named, and several can be meant.
pub(super) fn narrowed(reach: &Reach, customer: Option<CustomerId>) -> Result<Option<CustomerId>, Problem> {
    match (reach, customer) {
        (Reach::Everywhere, customer) => Ok(customer),
        (reach, Some(customer)) if reach.is_at(&customer) => Ok(Some(customer)),
        (Reach::At(customers), None) => match customers.iter().collect::<Vec<_>>().as_slice() {
            [] => Err(not_reached()),
            [only] => Ok(Some((*only).clone())),
            _ => Err(Problem::new(
                Code::MalformedRequest,
                "Your role is for some customers, and none was named.",
            )
            .remedy("Name one of them (`--customer`).")),
        },
        _ => Err(not_reached()),
    }
}

/// Somebody asks about what their roles do not reach.
pub(super) fn not_reached() -> Problem {
    Problem::new(Code::NotAnAdministrator, "Only an administrator of the broker may do this.")
        .remedy("Ask one of them, or for a [[role]] that reaches it.")
}
