//! `customers import` and `customers unmatched`: what to write into the configuration so that tickets find their customers.
//! Both print and change nothing: the file is the administrator's.

mod ids;
mod import;
pub(super) mod paste;
mod report;
mod table;
mod unmatched;

use std::process::ExitCode;

use anyhow::{Context, bail};
use ticketgate_access::config::{self, Config};
use ticketgate_psa::PsaError;

pub(super) use self::ids::free_id;
use self::import::Listed;
pub(super) use self::import::NAME_MAX;
use super::Terminal;
use super::arguments::{Customers, CustomersImport};
use crate::client::SessionFilter;

pub(super) async fn run(terminal: &mut Terminal<'_>, what: Customers) -> anyhow::Result<ExitCode> {
    let config = configuration(terminal)?;
    match what {
        Customers::Import(how) => {
            let companies = companies(&config, &how).await?;
            let psa = how.psa.as_ref();
            let found = import::compare(&config, psa, &companies);
            let place = terminal.places.config.display().to_string();
            terminal.answer(&found, || report::text(&found, &config, psa, &place))?;
        }
        Customers::Unmatched => {
            let client = terminal.client()?;
            let all = client.broker().await?.administrator;
            let sessions = client.sessions(&SessionFilter { all, ..SessionFilter::default() }).await?;
            let found = unmatched::find(&config, &sessions);
            terminal.answer(&found, || unmatched::text(&found))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration as it is in the file now.
pub(super) fn configuration(terminal: &Terminal<'_>) -> anyhow::Result<Config> {
    let path = &terminal.places.config;
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    config::read(&text).map_err(|faults| {
        anyhow::anyhow!(
            "{} has {} faults, the first: {}. Mend them first: ticketgate check",
            path.display(),
            faults.0.len(),
            faults.0.first().map(ToString::to_string).unwrap_or_default()
        )
    })
}

async fn companies(config: &Config, how: &CustomersImport) -> anyhow::Result<Vec<Listed>> {
    let settings = match &how.psa {
        Some(id) => Some(config.psas.get(id).with_context(|| {
            let known = super::text::list(config.psas.keys().map(ticketgate_protocol::ids::PsaId::as_str));
            format!("no [[psa]] of the configuration has the id {id:?}; there is: {known}", id = id.as_str())
        })?),
        None => None,
    };
    if let Some(file) = &how.csv {
        let columns = table::Columns {
            id: how.id_column.clone(),
            name: how.name_column.clone(),
            domain: how.domain_column.clone(),
        };
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        return table::read(&bytes, &columns).with_context(|| file.display().to_string());
    }
    let Some(settings) = settings else { bail!("name a ticket system with --psa, or a file with --csv") };
    let what = format!("{} \"{}\"", settings.kind.name(), settings.id);
    let psa = ticketgate_psa::connect(settings).map_err(|error| unread(&what, &error))?;
    let companies = psa.companies().await.map_err(|error| unread(&what, &error))?;
    Ok(companies
        .into_iter()
        .map(|company| Listed { id: company.id, name: company.name, domains: company.domains })
        .collect())
}

fn unread(what: &str, error: &PsaError) -> anyhow::Error {
    let remedy = match error {
        PsaError::NotOffered => {
            "export its companies as CSV, then: ticketgate customers import --psa ID --csv FILE"
        }
        PsaError::NoSecret(_) => "run this as the user that the broker runs as",
        _ => "nothing was read",
    };
    anyhow::anyhow!("{what}: {error}; {remedy}")
}
