//! The calls by which administrators see to sign-ins, tokens of automation and people who leave.

use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::Problem;

use super::Client;
use crate::sign_in::team::{
    RemoveTechnician, RevokeSignIns, SignInShown, TechnicianRemoved, TokenMade, TokenShown, TokenWanted,
};

impl Client {
    /// `GET /v1/sign-ins`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn sign_ins(&self) -> Result<Vec<SignInShown>, Problem> {
        self.get("/v1/sign-ins").await
    }

    /// `POST /v1/sign-ins/revoke`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn revoke_sign_ins(&self, which: &RevokeSignIns) -> Result<Vec<SignInShown>, Problem> {
        self.post("/v1/sign-ins/revoke", Some(which), None).await
    }

    /// `GET /v1/tokens`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn tokens(&self) -> Result<Vec<TokenShown>, Problem> {
        self.get("/v1/tokens").await
    }

    /// `POST /v1/tokens`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn make_token(&self, wanted: &TokenWanted) -> Result<TokenMade, Problem> {
        self.post("/v1/tokens", Some(wanted), None).await
    }

    /// `POST /v1/tokens/{id}/revoke`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn revoke_token(&self, id: &str) -> Result<TokenShown, Problem> {
        let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        self.post(&format!("/v1/tokens/{id}/revoke"), None::<&()>, None).await
    }

    /// `POST /v1/technicians/{id}/remove`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn remove_technician(
        &self,
        id: &TechnicianId,
        how: RemoveTechnician,
    ) -> Result<TechnicianRemoved, Problem> {
        self.post(&format!("/v1/technicians/{id}/remove"), Some(&how), None).await
    }
}
