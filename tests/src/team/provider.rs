//! The OpenID provider of a team's people, by others (`oidc-provider`), on a host of its own: `tests/world/staff-oidc.mjs`.

use crate::Result;
use crate::authority::Authority;
use crate::hosts::Host;
use crate::leash::Leashed;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::bail;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
const PORT: u16 = 8443;

/// What the brokers are called there: a public client, which proves by PKCE that it is the same.
pub const CLIENT: &str = "ticketgate";

/// A running provider. Dropping it ends it.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    _provider: Leashed,
    _folder: Folder,
}

impl Provider {
    /// Starts it on a host.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(host: &Host, authority: &Authority) -> Result<Self> {
        let package = world::target().join("npm/node_modules/oidc-provider");
        if !package.exists() {
            bail!("{} is not there; run `cargo xtask setup`", package.display());
        }
        let folder = Folder::new("staff-oidc")?;
        let shown = authority.issue(host.name(), host.address())?;
        let mut command = host.command("node");
        command.arg(world::script("staff-oidc.mjs")).arg(package);
        command.args([host.address().to_string(), PORT.to_string()]);
        command.arg(&shown.certificate).arg(&shown.key).arg(CLIENT);
        command.env_remove("NODE_ENV").env_remove("NODE_OPTIONS");
        let mut provider = Leashed::start(&command, &folder.join("log"))?;
        until("the OpenID provider to listen", START_LIMIT, || {
            if provider.exited()?.is_some() {
                bail!("the OpenID provider ended at once: {}", provider.log());
            }
            Ok(provider.log().contains("listening on "))
        })?;
        let issuer = format!("https://{}:{PORT}", host.address());
        Ok(Self { issuer, _provider: provider, _folder: folder })
    }

    /// As it calls itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}
