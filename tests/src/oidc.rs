//! OpenID providers by others (`oidc-provider`, which `xtask/npm` pins): one with Entra ID's addresses, for what it thinks of a client's
//! sign-in, and one by which people sign in to a team's broker ([`TeamProvider`]).
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
        let url = listening(&mut provider)?;
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
        at_device(&self.url, user_code, agrees)
    }
}

/// A provider by which people sign in to a team's broker. Dropping it ends it.
#[derive(Debug)]
pub struct TeamProvider {
    url: String,
    client: String,
    _provider: Leashed,
    _folder: Folder,
}

impl TeamProvider {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start() -> Result<Self> {
        Self::start_for(&[])
    }

    /// One that wants this secret of the broker.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_secret(secret: &str) -> Result<Self> {
        Self::start_for(&[secret])
    }

    fn start_for(secret: &[&str]) -> Result<Self> {
        let package = world::target().join("npm/node_modules/oidc-provider");
        if !package.exists() {
            bail!("{} is not there; run `cargo xtask setup`", package.display());
        }
        let (folder, client) = (Folder::new("oidc")?, random_id());
        let mut command = Command::new("node");
        command.arg(world::script("team-oidc.mjs")).arg(package).arg(&client).args(secret);
        command.env_remove("NODE_ENV").env_remove("NODE_OPTIONS");
        let mut provider = Leashed::start(&command, &folder.join("log"))?;
        let url = listening(&mut provider)?;
        Ok(Self { url, client, _provider: provider, _folder: folder })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// What the broker is called there: a public client, with PKCE at `http://localhost`, any port, or by a code on another device.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What it does from now on, or with the next ID token: `tests/world/team-oidc.mjs` says what can be wanted.
    ///
    /// # Errors
    /// It is gone.
    pub fn steer(&self, wanted: &serde_json::Value) -> Result<()> {
        let said = self.ask("POST", "/person/steer", wanted.to_string().as_bytes())?;
        if said.status != 204 {
            bail!("{}: {}", said.status, said.text());
        }
        Ok(())
    }

    /// How often its keys (`jwks`), tokens (`token`) and what it says of itself (`discovery`) were asked for.
    ///
    /// # Errors
    /// It is gone.
    pub fn count(&self, of: &str) -> Result<u64> {
        let said = self.ask("GET", "/person/counts", &[])?;
        let counts: serde_json::Value = serde_json::from_str(&said.text())?;
        counts.get(of).and_then(serde_json::Value::as_u64).context("no such count")
    }

    /// A logout token, with these claims.
    ///
    /// # Errors
    /// It is gone.
    pub fn logout_token(&self, claims: &serde_json::Value) -> Result<String> {
        let written: String = claims.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let said = self.ask("GET", &format!("/person/logout-token?claims={written}"), &[])?;
        Ok(serde_json::from_str(&said.text())?)
    }

    /// What a person answers at the address that a device shows, to this code.
    ///
    /// # Errors
    /// There is no such code.
    pub fn answer_device(&self, user_code: &str, agrees: bool) -> Result<()> {
        at_device(&self.url, user_code, agrees)
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<crate::http::Response> {
        let at = self.url.strip_prefix("http://").context("no address")?.parse()?;
        crate::http::ask(at, method, path, &[], body)
    }
}

fn listening(provider: &mut Leashed) -> Result<String> {
    wait_for("the OpenID provider to listen", START_LIMIT, || {
        if provider.exited()?.is_some() {
            bail!("the OpenID provider ended at once: {}", provider.log());
        }
        let log = provider.log();
        let line = log.lines().find_map(|line| line.strip_prefix(LISTENING));
        Ok(line.map(|url| url.trim().to_owned()))
    })
}

fn at_device(url: &str, user_code: &str, agrees: bool) -> Result<()> {
    let at = url.strip_prefix("http://").context("no address")?.parse()?;
    let answer = if agrees { "yes" } else { "no" };
    let path = format!("/person/device?user_code={user_code}&answer={answer}");
    let said = crate::http::ask(at, "GET", &path, &[], &[])?;
    if said.status != 204 {
        bail!("{}: {}", said.status, said.text());
    }
    Ok(())
}
