//! `#[derive(FromJson)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, FieldsNamed, Result, Variant};

use crate::attributes::{Missing, OfField, OfType, OfVariant, Tagging, member_names, names};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let of = OfType::read(&input.attrs)?;
    let body = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(fields, &of)?,
            other => return Err(Error::new_spanned(other, "FromJson wants fields with names")),
        },
        Data::Enum(data) => variants(&data.variants.iter().collect::<Vec<_>>(), &of)?,
        Data::Union(_) => return Err(Error::new_spanned(input, "FromJson knows no unions")),
    };
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::ticketgate_protocol::tree::FromJson for #name {
            fn read(
                value: ::core::option::Option<::ticketgate_protocol::tree::Value<'_>>,
                faults: &mut ::ticketgate_protocol::tree::Faults,
            ) -> Self {
                #body
            }
        }
    })
}

fn structure(fields: &FieldsNamed, of: &OfType) -> Result<TokenStream> {
    if !matches!(of.tagging, Tagging::Outside) {
        return Err(Error::new_spanned(fields, "FromJson knows tags of enums only"));
    }
    let (take, values) = members(fields, of.deny_unknown)?;
    Ok(quote! {
        #take
        Self { #values }
    })
}

/// The statement that takes `value` apart into `members`, and the fields of a literal made of them.
fn members(fields: &FieldsNamed, deny_unknown: bool) -> Result<(TokenStream, TokenStream)> {
    let read: Vec<OfField> = fields.named.iter().map(OfField::read).collect::<Result<_>>()?;
    let known = member_names(fields, &read)?;
    let mut at = 0usize;
    let mut values = TokenStream::new();
    for (field, read) in fields.named.iter().zip(&read) {
        let ident = &field.ident;
        if read.flatten {
            return Err(Error::new_spanned(field, "FromJson knows no flatten"));
        }
        if read.skip {
            values.extend(quote!(#ident: ::core::default::Default::default(),));
            continue;
        }
        values.extend(match &read.missing {
            Missing::AsTyped => quote!(#ident: members.get(#at),),
            // An option that is not there is none by itself.
            Missing::Default if is_option(&field.ty) => quote!(#ident: members.get(#at),),
            Missing::Default => quote!(#ident: members.or_default(#at),),
            Missing::Call(call) => quote!(#ident: members.or(#at, #call()),),
        });
        at += 1;
    }
    let members = if at > 0 { quote!(mut members) } else { quote!(_) };
    let take = quote! {
        let #members = ::ticketgate_protocol::tree::Members::of(value, #known, #deny_unknown, faults);
    };
    Ok((take, values))
}

fn variants(variants: &[&Variant], of: &OfType) -> Result<TokenStream> {
    let read: Vec<OfVariant> =
        variants.iter().map(|variant| OfVariant::read(variant, of)).collect::<Result<_>>()?;
    let other = variants.iter().zip(&read).find(|(_, read)| read.other).map(|(variant, _)| &variant.ident);
    let known: Vec<_> = variants.iter().zip(&read).filter(|(_, read)| !read.other).collect();
    let list = names(known.iter().map(|(_, read)| &read.name));
    let open = other.is_some();
    let tree = quote!(::ticketgate_protocol::tree);
    let take = match &of.tagging {
        Tagging::Outside => quote!(#tree::Chosen::outside(value, #list, #open, faults)),
        Tagging::Inside(tag) => quote!(#tree::Chosen::inside(value, #tag, #list, #open, faults)),
        Tagging::Beside(tag, content) => {
            quote!(#tree::Chosen::beside(value, #tag, #content, #list, #open, faults))
        }
    };
    let inside = matches!(of.tagging, Tagging::Inside(_));
    let all_bare = variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    let mut arms = Vec::new();
    for (at, (variant, _)) in known.iter().enumerate() {
        let ident = &variant.ident;
        let made = match &variant.fields {
            // A bare name says all there is; beside a tag inside, serde passes over what else is there.
            Fields::Unit if all_bare || inside => quote!(Self::#ident),
            Fields::Unit => quote!({ chosen.nothing(faults); Self::#ident }),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                quote!(Self::#ident(#tree::FromJson::read(chosen.body, faults)))
            }
            Fields::Named(fields) => {
                let (take, values) = members(fields, of.deny_unknown)?;
                quote!({ let value = chosen.body; #take Self::#ident { #values } })
            }
            Fields::Unnamed(fields) => {
                return Err(Error::new_spanned(fields, "FromJson knows no variants of several values"));
            }
        };
        // What is of no variant is a fault already; the last one stands in for it and is thrown away. (It must not hold its
        // own type: that would not end.)
        arms.push(if !open && at + 1 == known.len() { quote!(_ => #made,) } else { quote!(#at => #made,) });
    }
    let rest = other.map(|ident| quote!(_ => Self::#ident,));
    let check = (all_bare && !inside).then(|| quote!(chosen.nothing(faults);));
    Ok(quote! {
        let chosen = #take;
        #check
        match chosen.at { #(#arms)* #rest }
    })
}

fn is_option(ty: &syn::Type) -> bool {
    matches!(ty, syn::Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
