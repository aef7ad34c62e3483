//! Writes that do not hang on each other's answers: sent one behind the other in their order, and waited for once. What a change costs
//! is how often an answer is waited for.

use std::borrow::Cow;

use deadpool_postgres::Transaction;
use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;

use super::failure::Trouble;
use crate::LedgerError;

/// So many are sent before an answer is waited for. [`try_join_all`] begins so few in their order.
const AT_ONCE: usize = 24;

/// One statement with its parameters.
pub(super) struct Write {
    sql: Cow<'static, str>,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    /// What it means when it does not concern exactly one row; `None`: any number will do.
    conflict: Option<String>,
}

impl Write {
    pub(super) fn of(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new(), conflict: None }
    }

    /// With one more parameter.
    pub(super) fn with(mut self, parameter: impl ToSql + Sync + Send + 'static) -> Self {
        self.parameters.push(Box::new(parameter));
        self
    }

    /// It has to concern exactly one row, else the change is refused as a [`LedgerError::Conflict`] of this text.
    pub(super) fn else_conflict(self, text: String) -> Self {
        Self { conflict: Some(text), ..self }
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters.iter().map(|one| one.as_ref() as &(dyn ToSql + Sync)).collect()
    }
}

/// Sends them in their order. The first that fails is told, and none behind it counts.
pub(super) async fn send(transaction: &Transaction<'_>, writes: &[Write]) -> Result<(), Trouble> {
    for writes in writes.chunks(AT_ONCE) {
        // First, so that none is sent while another one still waits for its plan.
        let mut prepared = Vec::with_capacity(writes.len());
        for write in writes {
            prepared.push((transaction.prepare_cached(&write.sql).await?, write));
        }
        let sent = prepared.iter().map(async |(statement, write)| {
            let rows = transaction.execute(statement, &write.parameters()).await?;
            match &write.conflict {
                Some(text) if rows != 1 => Err(Trouble::from(LedgerError::Conflict(text.clone()))),
                _ => Ok(()),
            }
        });
        try_join_all(sent).await?;
    }
    Ok(())
}
