//! Contoso and Globex's Entra ID: tenants of the stand-in for Entra ID behind Microsoft's description of Graph. No live tenant can run
//! here, so whatever of it is on screen says what it is.

use anyhow::Context;
use ticketgate_tests::Result;
use ticketgate_tests::prism::Prism;
use ticketgate_tests::tenant::{Entra, Tenant};

/// The customer whose only directory it is, as its queue and its card say it.
pub(crate) const CONTOSO: &str = "Contoso (stand-in tenant)";

/// The id of Globex's second directory, which stands on the card of a session.
pub(crate) const GLOBEX: &str = "globex-entra-stand-in";

/// What the tickets want.
pub(crate) const EXCHANGE: &str = "role:Exchange Administrator";

/// The tenants and the way to them. The proxy goes first.
pub(crate) struct StandIns {
    pub(crate) graph: Prism,
    pub(crate) contoso: Tenant,
    pub(crate) globex: Tenant,
    pub(crate) entra: Entra,
}

impl StandIns {
    /// Starts them.
    ///
    /// # Errors
    /// The proxy is not installed.
    pub(crate) fn start() -> Result<Self> {
        let entra = Entra::start()?;
        let graph = entra.through_prism()?;
        Ok(Self { graph, contoso: entra.tenant("contoso")?, globex: entra.tenant("globex")?, entra })
    }

    /// What was sent or answered so far that Microsoft does not describe: nothing.
    ///
    /// # Errors
    /// Something was.
    pub(crate) fn are_as_described(&self) -> Result<()> {
        let mut wrong = self.entra.strange();
        wrong.extend(self.graph.violations()?);
        wrong.is_empty().then_some(()).with_context(|| format!("not as described: {wrong:?}"))
    }
}

/// The roles that somebody has, as people read them.
pub(crate) fn roles(tenant: &Tenant, user: &str) -> Vec<String> {
    tenant.held_by(user).into_iter().map(|held| held.right.trim_start_matches("role:").to_owned()).collect()
}
