//! `#[derive(FromJson)]` and `#[derive(ToTree)]`: how a type comes out of JSON and becomes a `ticketgate_protocol::tree::Tree`.
//!
//! Both read the type's `#[serde(…)]` attributes, so that the wire is written down once; an attribute that they do not
//! know stops the compiler. serde's own code for a type is made anew for every format that reads or writes it and keeps
//! every type's fields apart; this code only names fields, and what does the work is compiled once for all types. In
//! the WASM core that is a quarter of the size. Where both are derived, tests of `ticketgate-protocol` hold them together.

mod attributes;
mod from_json;
mod to_tree;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Reads a type out of JSON, as `serde::Deserialize` would.
#[proc_macro_derive(FromJson, attributes(serde))]
pub fn from_json(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    from_json::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Writes a type as a tree, as `serde::Serialize` would.
#[proc_macro_derive(ToTree, attributes(serde))]
pub fn to_tree(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    to_tree::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
