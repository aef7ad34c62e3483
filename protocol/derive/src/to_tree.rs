//! `#[derive(ToTree)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, FieldsNamed, Result, Variant};

use crate::attributes::{OfField, OfType, OfVariant, Tagging};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let of = OfType::read(&input.attrs)?;
    let body = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => {
                let put = members(fields, |ident| quote!(&self.#ident))?;
                quote!({ let mut members = ::ticketgate_protocol::tree::Written::new(); #put members.done() })
            }
            other => return Err(Error::new_spanned(other, "ToTree wants fields with names")),
        },
        Data::Enum(data) => {
            let arms: Vec<TokenStream> =
                data.variants.iter().map(|variant| arm(variant, &of)).collect::<Result<_>>()?;
            quote!(match self { #(#arms)* })
        }
        Data::Union(_) => return Err(Error::new_spanned(input, "ToTree knows no unions")),
    };
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::ticketgate_protocol::tree::ToTree for #name {
            fn to_tree(&self) -> ::ticketgate_protocol::tree::Tree { #body }
        }
    })
}

/// Statements that put each field into `members`.
fn members(fields: &FieldsNamed, reference: impl Fn(&syn::Ident) -> TokenStream) -> Result<TokenStream> {
    let mut out = TokenStream::new();
    for field in &fields.named {
        let read = OfField::read(field)?;
        let Some(ident) = field.ident.as_ref().filter(|_| !read.skip) else { continue };
        let (name, value) = (&read.name, reference(ident));
        let put =
            if read.flatten { quote!(members.flatten(#value);) } else { quote!(members.put(#name, #value);) };
        out.extend(match &read.skip_if {
            Some(skips) => quote!(if !#skips(#value) { #put }),
            None => put,
        });
    }
    Ok(out)
}

fn arm(variant: &Variant, of: &OfType) -> Result<TokenStream> {
    let name = OfVariant::read(variant, of)?.name;
    let ident = &variant.ident;
    let tree = quote!(::ticketgate_protocol::tree);
    let (pattern, body) = match &variant.fields {
        Fields::Unit => (quote!(Self::#ident), None),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            (quote!(Self::#ident(value)), Some(quote!(#tree::ToTree::to_tree(value))))
        }
        Fields::Named(fields) => {
            let bound: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
            let locals: Vec<_> = bound
                .iter()
                .map(|ident| format_ident!("field_{}", syn::ext::IdentExt::unraw(*ident)))
                .collect();
            let put = members(fields, |ident| {
                let local = format_ident!("field_{}", syn::ext::IdentExt::unraw(ident));
                quote!(#local)
            })?;
            let mutable = (!bound.is_empty()).then(|| quote!(mut));
            let body = quote!({ let #mutable members = #tree::Written::new(); #put members.done() });
            (quote!(Self::#ident { #(#bound: #locals),* }), Some(body))
        }
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(fields, "ToTree knows no variants of several values"));
        }
    };
    let written = match (&of.tagging, body) {
        (Tagging::Outside, None) => quote!(#tree::Tree::word(#name)),
        (Tagging::Outside, Some(body)) => quote!(#tree::Tree::named(#name, #body)),
        (Tagging::Inside(tag), None) => quote!(#tree::Tree::named(#tag, #tree::Tree::word(#name))),
        (Tagging::Inside(tag), Some(body)) => quote!(#tree::Tree::tagged(#tag, #name, #body)),
        (Tagging::Beside(tag, _), None) => quote!(#tree::Tree::named(#tag, #tree::Tree::word(#name))),
        (Tagging::Beside(tag, content), Some(body)) => {
            quote!(#tree::Tree::beside(#tag, #name, #content, #body))
        }
    };
    Ok(quote!(#pattern => #written,))
}
