//! The calls about tenants: signing in, signing out, a partner's customers.

use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::Problem;

use super::Client;
use crate::sign_in::{PartnerTenant, SignInAsked, SignInGoesOn, SignInStands, SignInWanted};

impl Client {
    /// `POST /v1/directories/{id}/sign-in`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn begin_sign_in(
        &self,
        id: &DirectoryId,
        wanted: SignInWanted,
    ) -> Result<SignInAsked, Problem> {
        self.post(&format!("/v1/directories/{id}/sign-in"), Some(&wanted), None).await
    }

    /// `POST /v1/directories/{id}/sign-in/go-on`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn go_on_with_sign_in(
        &self,
        id: &DirectoryId,
        on: &SignInGoesOn,
    ) -> Result<SignInStands, Problem> {
        self.post(&format!("/v1/directories/{id}/sign-in/go-on"), Some(on), None).await
    }

    /// `POST /v1/directories/{id}/sign-out`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn sign_out(&self, id: &DirectoryId) -> Result<SignInStands, Problem> {
        self.post(&format!("/v1/directories/{id}/sign-out"), None::<&()>, None).await
    }

    /// `GET /v1/directories/{id}/tenants`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn partner_tenants(&self, id: &DirectoryId) -> Result<Vec<PartnerTenant>, Problem> {
        self.get(&format!("/v1/directories/{id}/tenants")).await
    }
}
