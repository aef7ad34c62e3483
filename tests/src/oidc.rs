//! An OpenID provider by others (`oidc-provider`, which `xtask/npm` pins) with Entra ID's addresses: what it thinks of a client's sign-in.
//! It is strict where the standards are; the error codes that are Entra ID's own are the [stand-in](crate::tenant)'s.

use crate::Result;
use crate::leash::Leashed;
use crate::patience::wait_for;
use crate::tenant::{Pair, random_id};
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
const LISTENING: &str = "listening on ";

/// A running provider with one tenant, one app that has the certificate of [`Pair::registered`], and one public client. Dropping it ends it.
#[derive(Debug)]
pub struct OpenIdProvider {
    url: String,
    tenant: String,
    app: String,
    public: String,
    _provider: Leashed,
    _folder: Folder,
}

impl OpenIdProvider {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start() -> Result<Self> {
        let package = world::target().join("npm/node_modules/oidc-provider");
        if !package.exists() {
            bail!("{} is not there; run `cargo xtask setup`", package.display());
        }
        let folder = Folder::new("oidc")?;
        let (tenant, app, public) = (random_id(), random_id(), random_id());
        let mut command = Command::new("node");
        command.arg(world::script("entra-oidc.mjs")).arg(package).arg(Pair::registered()?.certificate);
        command.args([&tenant, &app, &public]).env_remove("NODE_ENV").env_remove("NODE_OPTIONS");
        let mut provider = Leashed::start(&command, &folder.join("log"))?;
        let url = wait_for("the OpenID provider to listen", START_LIMIT, || {
            if provider.exited()?.is_some() {
                bail!("the OpenID provider ended at once: {}", provider.log());
            }
            let log = provider.log();
            let line = log.lines().find_map(|line| line.strip_prefix(LISTENING));
            Ok(line.map(|url| url.trim().to_owned()))
        })?;
        Ok(Self { url, tenant, app, public, _provider: provider, _folder: folder })
    }

    /// The login's address, without a slash at the end.
    pub fn login_url(&self) -> &str {
        &self.url
    }

    /// The tenant's id.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The id of the app that signs in by itself, with an assertion.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The id of the client that people sign in to: with PKCE at `http://localhost` or `http://127.0.0.1`, any port, or by a code on
    /// another device.
    pub fn public_client(&self) -> &str {
        &self.public
    }

    /// What a person answers at the address that a device shows, to this code.
    ///
    /// # Errors
    /// There is no such code.
    pub fn answer_device(&self, user_code: &str, agrees: bool) -> Result<()> {
        let at = self.url.strip_prefix("http://").context("no address")?.parse()?;
        let answer = if agrees { "yes" } else { "no" };
        let path = format!("/person/device?user_code={user_code}&answer={answer}");
        let said = crate::http::ask(at, "GET", &path, &[], &[])?;
        if said.status != 204 {
            bail!("{}: {}", said.status, said.text());
        }
        Ok(())
    }
}
