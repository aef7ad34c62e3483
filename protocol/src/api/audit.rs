//! The audit log as it is shown, exported and checked.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One record of the audit log, as shown and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Position in the whole log, ascending; name the last one seen to read on. 0 from a broker that does not send it.
    #[serde(default)]
    pub position: u64,
    /// Whose chain: a customer's id, or `-` for what belongs to none.
    pub chain: String,
    /// Position in the chain, from 1.
    pub seq: u64,
    /// When, by the broker's clock.
    pub at: DateTime<Utc>,
    /// What: `activation.requested`, `activation.granted`, `activation.refused`, `session.ended`, …
    pub action: String,
    /// Who: a technician's id, `broker`, or `user:NAME` for somebody unknown.
    pub actor: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// Details: session, policy, directory, account, ticket, reason, result code, duration.
    pub details: serde_json::Value,
    /// SHA-256 over the previous hash and this record, hexadecimal.
    pub hash: String,
}

/// `GET /v1/audit/verify`: the state of the chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerdict {
    /// Whether every chain is whole and every checkpoint's signature holds.
    pub whole: bool,
    /// Records read.
    pub records: u64,
    /// Checkpoints whose signature was checked.
    pub checkpoints: u64,
    /// The number of the seal over all checkpoints. It only grows: a lower one than was seen before tells of an older copy.
    #[serde(default)]
    pub seal: u64,
    /// When the seal was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<DateTime<Utc>>,
    /// The first broken record: chain, position, and what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_fault: Option<AuditFault>,
}

/// The first broken record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditFault {
    /// The chain; `*` where the log as a whole is at fault and no record can be named.
    pub chain: String,
    /// The record's position.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: String,
}
