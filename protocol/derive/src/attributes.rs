//! The `#[serde(…)]` attributes that are understood, and the names that follow from them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, Field, Ident, Lit, LitStr, Result, Variant};

/// How an enum's variant is told.
pub(crate) enum Tagging {
    /// `{"variant": …}`, or the bare name where there is nothing more to say.
    Outside,
    /// A member among the variant's own.
    Inside(LitStr),
    /// A member for the name and one for the rest.
    Beside(LitStr, LitStr),
}

/// The most members of a type: `MEMBERS_MAX` of `ticketgate_protocol::tree`.
const MEMBERS_MAX: usize = 32;

/// Attributes of a type.
pub(crate) struct OfType {
    pub(crate) tagging: Tagging,
    pub(crate) snake_case: bool,
    pub(crate) deny_unknown: bool,
}

/// What stands in for a member that is not there.
pub(crate) enum Missing {
    /// Whatever the type of the field says.
    AsTyped,
    /// The type's default.
    Default,
    /// What this function says.
    Call(TokenStream),
}

/// Attributes of a field, and its name on the wire.
pub(crate) struct OfField {
    pub(crate) name: String,
    pub(crate) missing: Missing,
    pub(crate) skip: bool,
    pub(crate) skip_if: Option<TokenStream>,
    pub(crate) flatten: bool,
}

/// Attributes of a variant, and its name on the wire.
pub(crate) struct OfVariant {
    pub(crate) name: String,
    pub(crate) other: bool,
}

fn each(
    attributes: &[Attribute],
    mut take: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<bool>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            let word = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
            if take(&word, &meta)? {
                Ok(())
            } else {
                Err(meta.error("FromJson and ToTree do not know this attribute"))
            }
        })?;
    }
    Ok(())
}

/// The text behind `=`; one that came through another macro stands in a group of its own.
fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let mut value: Expr = meta.value()?.parse()?;
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(Error::new_spanned(other, "a text is wanted here")),
    }
}

fn function(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let path: syn::Path = text(meta)?.parse()?;
    Ok(path.to_token_stream())
}

impl OfType {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let (mut tag, mut content) = (None, None);
        let mut of = Self { tagging: Tagging::Outside, snake_case: false, deny_unknown: false };
        each(attributes, |word, meta| {
            match word {
                "tag" => tag = Some(text(meta)?),
                "content" => content = Some(text(meta)?),
                "deny_unknown_fields" => of.deny_unknown = true,
                "rename_all" if text(meta)?.value() == "snake_case" => of.snake_case = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        of.tagging = match (tag, content) {
            (None, None) => Tagging::Outside,
            (Some(tag), None) => Tagging::Inside(tag),
            (Some(tag), Some(_)) if of.deny_unknown => {
                return Err(Error::new_spanned(tag, "what stands beside name and content is not looked at"));
            }
            (Some(tag), Some(content)) => Tagging::Beside(tag, content),
            (None, Some(content)) => {
                return Err(Error::new_spanned(content, "content wants a tag beside it"));
            }
        };
        Ok(of)
    }
}

impl OfField {
    pub(crate) fn read(field: &Field) -> Result<Self> {
        let ident = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "fields need names"))?;
        let name = ident.to_string().trim_start_matches("r#").to_owned();
        let mut of = Self { name, missing: Missing::AsTyped, skip: false, skip_if: None, flatten: false };
        each(&field.attrs, |word, meta| {
            match word {
                "default" if meta.input.peek(syn::Token![=]) => {
                    of.missing = Missing::Call(function(meta)?);
                }
                "default" => of.missing = Missing::Default,
                "skip_serializing_if" => of.skip_if = Some(function(meta)?),
                "skip" => of.skip = true,
                "flatten" => of.flatten = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(of)
    }
}

impl OfVariant {
    pub(crate) fn read(variant: &Variant, of_type: &OfType) -> Result<Self> {
        let plain = variant.ident.to_string();
        let name = if of_type.snake_case { snake_case(&plain) } else { plain };
        let mut of = Self { name, other: false };
        each(&variant.attrs, |word, meta| {
            match word {
                "other" => of.other = true,
                "rename" => of.name = text(meta)?.value(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(of)
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `&["a", "b"]` of members.
pub(crate) fn member_names(fields: &syn::FieldsNamed, read: &[OfField]) -> Result<TokenStream> {
    if read.len() > MEMBERS_MAX {
        return Err(Error::new_spanned(fields, "too many members"));
    }
    Ok(names(read.iter().filter(|field| !field.skip).map(|field| &field.name)))
}

/// `&["a", "b"]`
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a String>) -> TokenStream {
    quote!(&[#(#names),*])
}
