//! Reads the audit log from its first record and names the first one that is not as it was written. Streams: what it keeps
//! is one state per chain and the checkpoints. Nothing is mended here.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, VerifyingKey};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction};
use ticketgate_protocol::api::{AuditFault, AuditVerdict};

use crate::chain::{self, Fields, Hash};
use crate::seal::{self, Seal};
use crate::{LedgerError, failure};

/// Checks every chain, or the one named, in one snapshot; the seal is over the checkpoints of all.
pub(crate) fn verify(
    connection: &mut Connection,
    key: &VerifyingKey,
    only: Option<&str>,
) -> Result<AuditVerdict, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let seal = Seal::read(&snapshot)?;
    let mut verdict = AuditVerdict {
        whole: false,
        records: 0,
        checkpoints: 0,
        seal: seal.as_ref().map_or(0, |seal| seal.number),
        sealed_at: seal.as_ref().and_then(|seal| seal.at.parse().ok()),
        first_fault: None,
    };
    verdict.first_fault = first_fault(&snapshot, key, only, seal.as_ref(), &mut verdict)?;
    verdict.whole = verdict.first_fault.is_none();
    Ok(verdict)
}

/// What is known of one chain while its records pass.
#[derive(Default)]
struct Progress {
    /// Position of the last good record; 0 before the first.
    seq: u64,
    hash: Hash,
    /// Not yet passed, the nearest last.
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

/// Chains by name, as bytes: a spoilt name need not be text.
type Chains = BTreeMap<Vec<u8>, Progress>;

fn first_fault(
    snapshot: &Transaction<'_>,
    key: &VerifyingKey,
    only: Option<&str>,
    seal: Option<&Seal>,
    verdict: &mut AuditVerdict,
) -> Result<Option<AuditFault>, LedgerError> {
    let mut chains = Chains::new();
    let digest = match read_checkpoints(snapshot, only, seal, &mut chains)? {
        Ok(digest) => digest,
        Err(fault) => return Ok(Some(fault)),
    };
    if let Some(fault) = read_heads(snapshot, only, &mut chains)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = read_records(snapshot, key, only, &mut chains, verdict)? {
        return Ok(Some(fault));
    }
    let at_an_end = chains.iter().find_map(|(chain, progress)| fault_at_the_end(chain, progress));
    // Last, since it cannot name a record.
    Ok(at_an_end.or_else(|| fault_of_seal(seal, &digest, key)))
}

/// Why the seal does not vouch for the checkpoints that are there.
fn fault_of_seal(seal: Option<&Seal>, digest: &Hash, key: &VerifyingKey) -> Option<AuditFault> {
    let what = match seal {
        None => "the seal is gone: it was removed".to_owned(),
        Some(seal) if !seal.is_signed_by(key) => {
            "the seal is not signed by this ledger's key: it was changed or made elsewhere".to_owned()
        }
        Some(seal) if seal.digest != *digest => format!(
            "seal {} of {} covers other checkpoints than these: some were removed, or put back, and with them records or a \
             whole chain",
            seal.number, seal.at
        ),
        Some(_) => return None,
    };
    Some(fault(b"*", 0, what))
}

fn read_records(
    snapshot: &Transaction<'_>,
    key: &VerifyingKey,
    only: Option<&str>,
    chains: &mut Chains,
    verdict: &mut AuditVerdict,
) -> Result<Option<AuditFault>, LedgerError> {
    // In the order of the whole log, so that a record that was moved is noticed, and the file is read from front to back.
    let mut statement = snapshot
        .prepare(
            "SELECT chain, seq, at, action, actor, outcome, details, hash FROM audit NOT INDEXED
             WHERE ?1 IS NULL OR chain = ?1 ORDER BY position",
        )
        .map_err(failure::database)?;
    let mut rows = statement.query([only]).map_err(failure::database)?;
    let mut buffer = Vec::with_capacity(1024);
    while let Some(row) = rows.next().map_err(failure::database)? {
        verdict.records += 1;
        let Some((fields, hash)) = fields(row)? else {
            return Ok(Some(AuditFault {
                chain: lossy(row, 0),
                seq: number(row, 1).unwrap_or(0),
                fault: "the record holds something that was never written there: it was changed".to_owned(),
            }));
        };
        if !chains.contains_key(fields.chain) {
            chains.insert(fields.chain.to_vec(), Progress::default());
        }
        let Some(progress) = chains.get_mut(fields.chain) else { continue };
        let expected = progress.seq + 1;
        if fields.seq != expected {
            return out_of_place(snapshot, &fields, expected).map(Some);
        }
        if chain::hash(&progress.hash, &fields, &mut buffer) != hash {
            return Ok(Some(fault(
                fields.chain,
                expected,
                "the record does not have its hash: it was changed",
            )));
        }
        progress.seq = expected;
        progress.hash = hash;
        while progress.checkpoints.last().is_some_and(|checkpoint| checkpoint.seq <= expected) {
            let Some(checkpoint) = progress.checkpoints.pop() else { break };
            verdict.checkpoints += 1;
            if let Some(what) = fault_of(&checkpoint, fields.chain, expected, &hash, key) {
                return Ok(Some(fault(fields.chain, expected, what)));
            }
        }
    }
    Ok(None)
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

/// A record with another position than the next one: is the next one gone, or elsewhere?
fn out_of_place(
    snapshot: &Transaction<'_>,
    found: &Fields<'_>,
    expected: u64,
) -> Result<AuditFault, LedgerError> {
    if found.seq < expected {
        return Ok(fault(found.chain, found.seq, "the record stands a second time or too late in the log"));
    }
    let elsewhere: bool = snapshot
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM audit NOT INDEXED WHERE CAST(chain AS BLOB) = ?1 AND seq = ?2)",
            rusqlite::params![found.chain, i64::try_from(expected).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )
        .map_err(failure::database)?;
    let what = if elsewhere {
        format!("the record stands after record {}: the order was changed", found.seq)
    } else {
        "the record is missing: it was removed".to_owned()
    };
    Ok(fault(found.chain, expected, what))
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

fn read_checkpoints(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    newest: Option<&Seal>,
    chains: &mut Chains,
) -> Result<Result<Hash, AuditFault>, LedgerError> {
    // Those of all chains, in the order in which they were sealed.
    let mut statement = snapshot
        .prepare("SELECT chain, seq, hash, at, signature, seal FROM checkpoints ORDER BY seal, chain, seq")
        .map_err(failure::database)?;
    let mut rows = statement.query([]).map_err(failure::database)?;
    let mut digest = seal::NOTHING;
    while let Some(row) = rows.next().map_err(failure::database)? {
        let read = (bytes(row, 0)?, number(row, 1), fixed(row, 2)?, bytes(row, 3)?, fixed(row, 4)?);
        // The order in which they are taken in hangs on the seal's number, which nothing signs: one that is still to come would
        // fit now and no longer after the next checkpoint.
        let sealed = number(row, 5).filter(|number| newest.is_none_or(|newest| *number <= newest.number));
        let (Some(chain), Some(seq), Some(hash), Some(at), Some(signature), Some(_)) =
            (read.0, read.1, read.2, read.3, read.4, sealed)
        else {
            return Ok(Err(AuditFault {
                chain: lossy(row, 0),
                seq: number(row, 1).unwrap_or(0),
                fault: "the checkpoint holds something that was never written there: it was changed"
                    .to_owned(),
            }));
        };
        digest = chain::taken_in(&digest, &chain::checkpoint_bytes(chain, seq, &hash, at));
        if only.is_none_or(|only| only.as_bytes() == chain) {
            let checkpoint = Checkpoint { seq, hash, at: at.to_vec(), signature };
            chains.entry(chain.to_vec()).or_default().checkpoints.push(checkpoint);
        }
    }
    for progress in chains.values_mut() {
        progress.checkpoints.sort_unstable_by_key(|checkpoint| std::cmp::Reverse(checkpoint.seq));
    }
    Ok(Ok(digest))
}

fn read_heads(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    chains: &mut Chains,
) -> Result<Option<AuditFault>, LedgerError> {
    let mut statement = snapshot
        .prepare("SELECT chain, seq, hash FROM chains WHERE ?1 IS NULL OR chain = ?1")
        .map_err(failure::database)?;
    let mut rows = statement.query([only]).map_err(failure::database)?;
    while let Some(row) = rows.next().map_err(failure::database)? {
        let (Some(chain), Some(seq), Some(hash)) = (bytes(row, 0)?, number(row, 1), fixed(row, 2)?) else {
            return Ok(Some(AuditFault {
                chain: lossy(row, 0),
                seq: number(row, 1).unwrap_or(0),
                fault: "the note of the chain's last record was changed".to_owned(),
            }));
        };
        chains.entry(chain.to_vec()).or_default().head = Some((seq, hash));
    }
    Ok(None)
}

/// The record's fields where they lie, without copies; `None` when one is not of its kind.
fn fields<'a>(row: &'a Row<'_>) -> Result<Option<(Fields<'a>, Hash)>, LedgerError> {
    let read = (
        (bytes(row, 0)?, number(row, 1), bytes(row, 2)?, bytes(row, 3)?),
        (bytes(row, 4)?, bytes(row, 5)?, bytes(row, 6)?, fixed(row, 7)?),
    );
    let (
        (Some(chain), Some(seq), Some(at), Some(action)),
        (Some(actor), Some(outcome), Some(details), Some(hash)),
    ) = read
    else {
        return Ok(None);
    };
    Ok(Some((Fields { chain, seq, at, action, actor, outcome, details }, hash)))
}

fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a [u8]>, LedgerError> {
    match row.get_ref(column).map_err(failure::database)? {
        ValueRef::Text(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn fixed<const N: usize>(row: &Row<'_>, column: usize) -> Result<Option<[u8; N]>, LedgerError> {
    match row.get_ref(column).map_err(failure::database)? {
        ValueRef::Blob(blob) => Ok(blob.try_into().ok()),
        _ => Ok(None),
    }
}

fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    row.get::<_, i64>(column).ok().and_then(|number| u64::try_from(number).ok())
}

fn lossy(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn fault(chain: &[u8], seq: u64, what: impl Into<String>) -> AuditFault {
    AuditFault { chain: String::from_utf8_lossy(chain).into_owned(), seq, fault: what.into() }
}
