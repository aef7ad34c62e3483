//! Renewing a sign-in before it ends: by one process of this machine at a time, and kept before it is used.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::time::{Instant, sleep, timeout};

use super::{Identity, Renews, SignedIn, signed_out, unread};
use crate::client::Client;
use crate::client::starting::private_file;
use crate::platform::{Here, Platform};

/// How long another process of this machine is waited for, which renews at the moment.
const OTHERS: Duration = Duration::from_secs(20);
/// How often its lock is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a call waits for a renewal that it cannot do without.
const PATIENCE: Duration = Duration::from_secs(8);
/// After a renewal that failed the next one waits for so long; the token is good until then.
const AGAIN: TimeDelta = TimeDelta::seconds(60);

impl Client {
    /// What a request shows: who is signed in, renewed in time.
    pub(in crate::client) async fn shown(&self) -> Result<Option<Arc<SignedIn>>, Problem> {
        if let Some(acting) = &self.acting {
            return Ok(Some(Arc::clone(acting)));
        }
        let Some(identity) = &self.identity else { return Ok(None) };
        let Some(current) = identity.current().await.map_err(|why| unread(&why))? else { return Ok(None) };
        let now = Utc::now();
        if !current.is_nearly_over(now) || !identity.may_renew(now) {
            return Ok(Some(current));
        }
        // Another browser's relay may have done it.
        match identity.look().await.map_err(|why| unread(&why))? {
            Some(other) if !other.is_same_as(&current) => return Ok(Some(other)),
            None => return Ok(None),
            Some(_) => {}
        }
        let is_over = current.is_over(now);
        // A call inside a call: the types of both would hold each other.
        let renewed = Box::pin(self.renewed(identity, Arc::clone(&current), is_over)).await;
        Ok(Some(renewed.unwrap_or(current)))
    }

    /// Somebody else than was shown: another process of this machine signed in or renewed, or this one does so now.
    pub(in crate::client) async fn other_than(
        &self,
        identity: &Arc<Identity>,
        shown: Option<&SignedIn>,
    ) -> Result<Option<Arc<SignedIn>>, Problem> {
        let found = identity.look().await.map_err(|why| unread(&why))?;
        match (found, shown) {
            (Some(found), Some(shown)) if found.is_same_as(shown) => {
                if !identity.may_renew(Utc::now()) {
                    return Ok(None);
                }
                Ok(Box::pin(self.renewed(identity, found, true)).await)
            }
            (found, _) => Ok(found),
        }
    }

    /// Renews; `None` where it did not succeed, or is not waited for.
    async fn renewed(
        &self,
        identity: &Arc<Identity>,
        old: Arc<SignedIn>,
        is_waited_for: bool,
    ) -> Option<Arc<SignedIn>> {
        let begun = identity.begins()?;
        match &identity.renews {
            Renews::Here => {
                let renewed = self.renew_sign_in(old.from.timestamp_millis()).await;
                begun.ended(renewed.is_ok());
                renewed.ok()
            }
            Renews::With(program) => {
                let mut command = tokio::process::Command::new(program);
                command.arg("sign-in").arg("--renew").arg(old.from.timestamp_millis().to_string());
                let work = Arc::clone(identity);
                let renewing = tokio::spawn(async move {
                    let done = beside(command).await;
                    let found = work.look().await.ok().flatten();
                    begun.ended(done);
                    found.filter(|found| !found.is_same_as(&old))
                });
                if !is_waited_for {
                    return None;
                }
                timeout(PATIENCE, renewing).await.ok()?.ok()?
            }
        }
    }

    /// Renews the sign-in that began at this time (milliseconds since 1970), unless another process did meanwhile.
    ///
    /// # Errors
    /// `sign_in_needed` where the provider or the broker does not renew it, and as [`Client::broker`].
    pub async fn renew_sign_in(&self, began: i64) -> Result<Arc<SignedIn>, Problem> {
        let Some(identity) = &self.identity else { return Err(signed_out("Nobody signs in here.")) };
        let _one_at_a_time = lock(&identity.lock).await.map_err(|error| {
            Problem::new(Code::Internal, format!("The sign-in cannot be renewed: {error}."))
                .remedy(format!("Make {} writable for you.", identity.lock.display()))
        })?;
        let found = identity.look().await.map_err(|why| unread(&why))?;
        let Some(found) = found else { return Err(signed_out("Nobody is signed in on this machine.")) };
        if found.from.timestamp_millis() != began {
            return Ok(found);
        }
        let (key, refresh) = match (identity.kept_key().await, identity.find_refresh().await) {
            (Ok(Some(key)), Ok(Some(refresh))) => (key, refresh),
            (Ok(_), Ok(_)) => return Err(signed_out("The sign-in is over, and nothing renews it.")),
            (Err(why), _) | (_, Err(why)) => return Err(unread(&why)),
        };
        match self.acting_as(found).renew_with(refresh.expose()).await {
            Ok(given) => identity.keep(&key, given).await.map_err(|why| unread(&why)),
            Err(problem) => {
                if problem.code == Code::SignInNeeded {
                    // It is asked for once: the person has to sign in.
                    identity.forget_refresh().await.map_err(|why| unread(&why))?;
                }
                Err(problem)
            }
        }
    }
}

/// Runs the program to its end, also when this process is gone by then. Whether it succeeded.
async fn beside(command: tokio::process::Command) -> bool {
    let mut command = command.into_std();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Here::set_apart(&mut command);
    let mut command = tokio::process::Command::from(command);
    match command.kill_on_drop(false).spawn() {
        Ok(mut child) => child.wait().await.is_ok_and(|status| status.success()),
        Err(_) => false,
    }
}

/// Waits for the lock that says who renews. Released when dropped.
async fn lock(path: &Path) -> io::Result<File> {
    Here::make_private_folder(path.parent().unwrap_or(Path::new(".")))?;
    let file = private_file(path)?;
    let end = Instant::now() + OTHERS;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(LOOK).await,
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// A renewal is under way in this process until this is dropped.
struct Begun(Arc<Identity>);

impl Begun {
    fn ended(&self, done: bool) {
        self.0.state().not_before = (!done).then(|| Utc::now() + AGAIN);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.state().is_renewing = false;
    }
}

impl Identity {
    fn may_renew(&self, now: DateTime<Utc>) -> bool {
        let state = self.state();
        // A clock that was set back must not keep it from renewing.
        !state.is_renewing && state.not_before.is_none_or(|at| at <= now || at > now + AGAIN)
    }

    fn begins(self: &Arc<Self>) -> Option<Begun> {
        let mut state = self.state();
        (!std::mem::replace(&mut state.is_renewing, true)).then(|| Begun(Arc::clone(self)))
    }
}
