//! What a ticket page reports to the extension's worker. Untrusted: every field is a claim of the page.
