//! Several users of one machine at one broker. The kernel tells the broker who connects, so a test connects as another user:
//! in a thread of its own, whose user id alone is changed (setresuid(2) is per thread).

use crate::Result;
use crate::http::{self, Response};
use anyhow::{Context, anyhow};
use rustix::process::Uid;
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits, set_thread_res_uid};
use serde_json::Value;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A user of this machine. The broker has to [`super::Product::serve_everyone`] for any but the first of [`users`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name to log in with.
    pub login: String,
    /// `None`: whoever runs the test.
    uid: Option<u32>,
}

/// The users that this test can be: whoever runs it and, for root, two that every Debian has. In a user namespace, where
/// nobody else is known, it is only the first.
pub fn users() -> Vec<User> {
    let others = [("daemon", 1), ("bin", 2)].map(|(login, uid)| User { login: login.into(), uid: Some(uid) });
    let mut users = vec![User { login: super::configuration::login(), uid: None }];
    if others.iter().all(|user| user.act(|| Ok(())).is_ok()) {
        users.extend(others);
    }
    users
}

impl User {
    /// Does something as this user, in a thread of its own.
    fn act<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some(uid) = self.uid else { return work() };
        let acting = move || {
            // The rights of root stay, so that folders that are closed to others do not stand in the way.
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
            let uid = Uid::from_raw(uid);
            set_thread_res_uid(uid, uid, uid)?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(acting).join()).map_err(|_| anyhow!("the thread panicked"))?
    }

    /// Asks the broker at a socket as this user.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub fn ask(
        &self,
        socket: &Path,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Response> {
        let stream = self.act(|| {
            UnixStream::connect(socket).with_context(|| format!("nobody answers at {}", socket.display()))
        })?;
        let mut headers = vec![("Content-Type", "application/json"), ("Accept", "application/json")];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http::ask_on(stream, method, path, &headers, body.as_bytes())
    }
}
