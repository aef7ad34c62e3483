//! The names in a client's certificate, for logs and for whoever asks which machine a sign-in came from.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::broker::records::printable;

/// Names that are kept of one certificate; the rest is left out.
const NAMES_MAX: usize = 8;

/// Common name and alternative names, separated by commas; empty for a certificate that names nobody.
pub(super) fn of(certificate: &CertificateDer<'_>) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return String::new() };
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let extension = certificate.subject_alternative_name().ok().flatten();
    let others =
        extension.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                Some(*name)
            }
            _ => None,
        });
    let mut names: Vec<String> = Vec::new();
    for name in common.chain(others).map(printable) {
        if names.len() < NAMES_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
