//! The two requests that a technician makes over and over, where nothing stands in their way.

use crate::Result;
use crate::product::asking::new_key;
use crate::team::relay::{Heard, Relay};
use crate::team::site::{CUSTOMER, LONGEST};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::time::Duration;

/// As long as a relay waits for what changes something.
const LIMIT: Duration = Duration::from_secs(32);

impl Relay {
    /// Activates a policy at a broker, for as long as it may be. Whatever comes of it is an answer.
    ///
    /// # Errors
    /// There is no such broker.
    pub async fn begin(&self, broker: usize, policy: &str) -> Result<Heard> {
        let wish = json!({
            "customer": CUSTOMER, "policy": policy, "duration_s": LONGEST.as_secs(), "reason": "#4711 A day's work",
        });
        self.ask(broker, "POST", "/v1/sessions", Some(&new_key()), &wish, LIMIT).await
    }

    /// Ends a session. Whatever comes of it is an answer.
    ///
    /// # Errors
    /// There is no such broker.
    pub async fn end(&self, broker: usize, session: &str) -> Result<Heard> {
        let path = format!("/v1/sessions/{session}/end");
        self.ask(broker, "POST", &path, Some(&new_key()), &Value::Null, LIMIT).await
    }
}

impl Heard {
    /// The id of the session that is told, which has to be in this state.
    ///
    /// # Errors
    /// It is in another, or nothing was told; with what was heard.
    pub fn session_that_is(&self, state: &str) -> Result<&str> {
        match self {
            Self::Answer(200..300, said) if said.get("state").is_some_and(|found| found == state) => said
                .get("id")
                .and_then(Value::as_str)
                .with_context(|| format!("a session without an id: {said}")),
            other => bail!("no session that is {state}: {other:?}"),
        }
    }
}
