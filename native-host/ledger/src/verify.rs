//! Looks at an audit log as it passes, from its first record on, and names the first one that is not as it was written. What it
//! keeps is one state per chain and the checkpoints. Nothing is read or mended here.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, VerifyingKey};
use ticketgate_protocol::api::{AuditFault, AuditVerdict};

use crate::chain::{self, Fields, Hash};
use crate::seal::{self, Seal};

/// A look at a log: all its checkpoints, then the heads of its chains, then its records in the order of the whole log.
pub(crate) struct Check<'a> {
    key: &'a VerifyingKey,
    /// The chain named, or all.
    only: Option<&'a str>,
    seal: Option<Seal>,
    digest: Hash,
    /// By name, as bytes: a spoilt name need not be text.
    chains: BTreeMap<Vec<u8>, Progress>,
    buffer: Vec<u8>,
    verdict: AuditVerdict,
}

/// What is known of one chain while its records pass.
#[derive(Default)]
struct Progress {
    /// Position of the last good record; 0 before the first.
    seq: u64,
    hash: Hash,
    /// Not yet passed, the nearest last once the records begin.
    checkpoints: Vec<Checkpoint>,
    /// What the ledger holds to be the last record.
    head: Option<(u64, Hash)>,
}

struct Checkpoint {
    seq: u64,
    hash: Hash,
    at: Vec<u8>,
    signature: [u8; 64],
}

/// A checkpoint as a row holds it; `None` where a column holds what was never written there.
pub(crate) struct CheckpointRow<'a> {
    pub(crate) chain: Option<&'a [u8]>,
    pub(crate) seq: Option<u64>,
    pub(crate) hash: Option<Hash>,
    pub(crate) at: Option<&'a [u8]>,
    pub(crate) signature: Option<[u8; 64]>,
    pub(crate) seal: Option<u64>,
}

/// What is wrong with a record.
pub(crate) enum Wrong {
    /// This.
    Fault(AuditFault),
    /// The one that has to come before it is not there: it is gone, or it stands elsewhere in the log.
    Before(Gap),
}

/// A record that did not come.
pub(crate) struct Gap {
    pub(crate) chain: Vec<u8>,
    /// Its position.
    pub(crate) seq: u64,
    /// The position of the one that came.
    found: u64,
}

impl Gap {
    /// The fault, once it is known whether the record stands elsewhere.
    pub(crate) fn fault(&self, elsewhere: bool) -> AuditFault {
        let what = if elsewhere {
            format!("the record stands after record {}: the order was changed", self.found)
        } else {
            "the record is missing: it was removed".to_owned()
        };
        fault(&self.chain, self.seq, what)
    }
}

impl<'a> Check<'a> {
    /// Of every chain, or of the one named; the seal is over the checkpoints of all.
    pub(crate) fn new(key: &'a VerifyingKey, only: Option<&'a str>, seal: Option<Seal>) -> Self {
        let verdict = AuditVerdict {
            whole: false,
            records: 0,
            checkpoints: 0,
            seal: seal.as_ref().map_or(0, |seal| seal.number),
            sealed_at: seal.as_ref().and_then(|seal| seal.at.parse().ok()),
            first_fault: None,
        };
        let buffer = Vec::with_capacity(1024);
        Self { key, only, seal, digest: seal::NOTHING, chains: BTreeMap::new(), buffer, verdict }
    }

    /// The next checkpoint, of any chain, in the order in which they were sealed.
    pub(crate) fn checkpoint(&mut self, row: &CheckpointRow<'_>) -> Result<(), AuditFault> {
        // The order in which they are taken in hangs on the seal's number, which nothing signs: one that is still to come would
        // fit now and no longer after the next checkpoint.
        let newest = self.seal.as_ref().map(|seal| seal.number);
        let sealed = row.seal.filter(|number| newest.is_none_or(|newest| *number <= newest));
        let (Some(chain), Some(seq), Some(hash), Some(at), Some(signature), Some(_)) =
            (row.chain, row.seq, row.hash, row.at, row.signature, sealed)
        else {
            return Err(fault(
                row.chain.unwrap_or_default(),
                row.seq.unwrap_or(0),
                "the checkpoint holds something that was never written there: it was changed",
            ));
        };
        self.digest = chain::taken_in(&self.digest, &chain::checkpoint_bytes(chain, seq, &hash, at));
        if self.only.is_none_or(|only| only.as_bytes() == chain) {
            let checkpoint = Checkpoint { seq, hash, at: at.to_vec(), signature };
            self.chains.entry(chain.to_vec()).or_default().checkpoints.push(checkpoint);
        }
        Ok(())
    }

    /// What the ledger holds to be the last record of a chain that is looked at. The records come next.
    pub(crate) fn head(
        &mut self,
        chain: Option<&[u8]>,
        seq: Option<u64>,
        hash: Option<Hash>,
    ) -> Result<(), AuditFault> {
        let (Some(chain), Some(seq), Some(hash)) = (chain, seq, hash) else {
            let what = "the note of the chain's last record was changed";
            return Err(fault(chain.unwrap_or_default(), seq.unwrap_or(0), what));
        };
        self.chains.entry(chain.to_vec()).or_default().head = Some((seq, hash));
        Ok(())
    }

    /// The records begin.
    pub(crate) fn begin(&mut self) {
        for progress in self.chains.values_mut() {
            progress.checkpoints.sort_unstable_by_key(|checkpoint| std::cmp::Reverse(checkpoint.seq));
        }
    }

    /// The next record holds something that was never written there.
    pub(crate) fn spoilt(&mut self, chain: &[u8], seq: u64) -> AuditFault {
        self.verdict.records += 1;
        fault(chain, seq, "the record holds something that was never written there: it was changed")
    }

    /// The next record of a chain that is looked at.
    pub(crate) fn record(&mut self, fields: &Fields<'_>, hash: &Hash) -> Result<(), Wrong> {
        self.verdict.records += 1;
        if !self.chains.contains_key(fields.chain) {
            self.chains.insert(fields.chain.to_vec(), Progress::default());
        }
        let Some(progress) = self.chains.get_mut(fields.chain) else { return Ok(()) };
        let expected = progress.seq + 1;
        if fields.seq < expected {
            let what = "the record stands a second time or too late in the log";
            return Err(Wrong::Fault(fault(fields.chain, fields.seq, what)));
        }
        if fields.seq > expected {
            return Err(Wrong::Before(Gap {
                chain: fields.chain.to_vec(),
                seq: expected,
                found: fields.seq,
            }));
        }
        if chain::hash(&progress.hash, fields, &mut self.buffer) != *hash {
            let what = "the record does not have its hash: it was changed";
            return Err(Wrong::Fault(fault(fields.chain, expected, what)));
        }
        progress.seq = expected;
        progress.hash = *hash;
        while progress.checkpoints.last().is_some_and(|checkpoint| checkpoint.seq <= expected) {
            let Some(checkpoint) = progress.checkpoints.pop() else { break };
            self.verdict.checkpoints += 1;
            if let Some(what) = fault_of(&checkpoint, fields.chain, expected, hash, self.key) {
                return Err(Wrong::Fault(fault(fields.chain, expected, what)));
            }
        }
        Ok(())
    }

    /// No more records come, since there are none, or since one is not as it was written.
    pub(crate) fn end(mut self, found: Option<AuditFault>) -> AuditVerdict {
        let at_an_end = || self.chains.iter().find_map(|(chain, progress)| fault_at_the_end(chain, progress));
        // The seal last, since it cannot name a record.
        let found = found.or_else(at_an_end).or_else(|| self.fault_of_seal());
        self.verdict.whole = found.is_none();
        self.verdict.first_fault = found;
        self.verdict
    }

    /// Why the seal does not vouch for the checkpoints that are there.
    fn fault_of_seal(&self) -> Option<AuditFault> {
        let what = match &self.seal {
            None => "the seal is gone: it was removed".to_owned(),
            Some(seal) if !seal.is_signed_by(self.key) => {
                "the seal is not signed by this ledger's key: it was changed or made elsewhere".to_owned()
            }
            Some(seal) if seal.digest != self.digest => format!(
                "seal {} of {} covers other checkpoints than these: some were removed, or put back, and with them records or a \
                 whole chain",
                seal.number, seal.at
            ),
            Some(_) => return None,
        };
        Some(fault(b"*", 0, what))
    }
}

/// Why a checkpoint does not vouch for the record at its position.
fn fault_of(
    checkpoint: &Checkpoint,
    chain: &[u8],
    seq: u64,
    hash: &Hash,
    key: &VerifyingKey,
) -> Option<&'static str> {
    let bytes = chain::checkpoint_bytes(chain, checkpoint.seq, &checkpoint.hash, &checkpoint.at);
    if key.verify_strict(&bytes, &Signature::from_bytes(&checkpoint.signature)).is_err() {
        return Some(
            "the checkpoint of this record is not signed by this ledger's key: it was changed or made elsewhere",
        );
    }
    if checkpoint.seq != seq {
        return Some("a checkpoint stands before this record and names none: it was changed");
    }
    if &checkpoint.hash != hash {
        return Some("the checkpoint signed another record at this place: the chain was written anew");
    }
    None
}

/// After the last record: did more stand there once?
fn fault_at_the_end(chain: &[u8], progress: &Progress) -> Option<AuditFault> {
    if let Some(checkpoint) = progress.checkpoints.first() {
        let at = String::from_utf8_lossy(&checkpoint.at);
        let what = format!("the record is missing: the checkpoint of {at} signed record {}", checkpoint.seq);
        return Some(fault(chain, progress.seq + 1, what));
    }
    match progress.head {
        Some((seq, _)) if seq > progress.seq => Some(fault(
            chain,
            progress.seq + 1,
            format!("the record is missing: {seq} were written to this chain"),
        )),
        Some((seq, hash)) if seq == progress.seq && hash == progress.hash => None,
        _ => Some(fault(chain, progress.seq, "the ledger did not note this as the last record of its chain")),
    }
}

pub(crate) fn fault(chain: &[u8], seq: u64, what: impl Into<String>) -> AuditFault {
    AuditFault { chain: String::from_utf8_lossy(chain).into_owned(), seq, fault: what.into() }
}
