//! `audit show|verify|export`.

use std::process::ExitCode;

use super::arguments::Audit;
use super::{Terminal, text};
use crate::client::{AuditFilter, ExportFormat};

pub(super) async fn run(terminal: &mut Terminal<'_>, what: Audit) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    match what {
        Audit::Show(which) => {
            let filter =
                AuditFilter { customer: which.customer, since: which.since, limit: Some(which.limit) };
            let records = client.audit(&filter).await?;
            terminal.answer(&records, || text::records(&records))?;
        }
        Audit::Verify { customer } => {
            let verdict = client.audit_verify(customer.as_ref()).await?;
            let whole = verdict.whole;
            terminal.answer(&verdict, || text::verdict(&verdict))?;
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Audit::Export { format } => {
            let format = if format == "csv" { ExportFormat::Csv } else { ExportFormat::JsonLines };
            client.audit_export(format, &mut terminal.out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
