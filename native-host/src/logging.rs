//! Where log lines go, how much of them, and in which form. What they say is said where it happens; never a secret.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// To standard error. `TICKETGATE_LOG` chooses how much (`debug`, `ticketgate=trace`), else it is what is `usual`;
/// `TICKETGATE_LOG_FORMAT=json` makes each line an object.
pub fn to_stderr(usual: &str) {
    to(usual, std::io::stderr);
}

/// The same to another place.
pub fn to<W>(usual: &str, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_env("TICKETGATE_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    // An error means that there is a log already.
    let _ = if std::env::var("TICKETGATE_LOG_FORMAT").is_ok_and(|form| form == "json") {
        json(filter, writer).try_init()
    } else {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_ansi(false)
            .finish()
            .try_init()
    };
}

/// An object a line, with the request that the line belongs to.
pub(crate) fn json<W>(filter: EnvFilter, to: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(to)
        .finish()
}
