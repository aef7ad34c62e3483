//! Rights in an Entra ID tenant as the configuration writes them and as the connector reads them: one grammar for both.

use std::fmt;
use std::str::FromStr;

/// An id of Entra ID: of a tenant, an application, a user, a group or a role. Kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(String);

impl ObjectId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectId {
    type Err = BadRight;

    fn from_str(text: &str) -> Result<Self, BadRight> {
        let groups: Vec<&str> = text.split('-').collect();
        let sound = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.concat().bytes().all(|b| b.is_ascii_hexdigit());
        if sound { Ok(Self(text.to_ascii_lowercase())) } else { Err(BadRight::Id) }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A right in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntraRight {
    /// A directory role, in the whole directory: `role:Exchange Administrator`, or `role:` and its id.
    Role(RoleName),
    /// Membership of a group, by its id: `group:fdd7a751-b60b-444a-984c-02652fe8fa1c`.
    Group(ObjectId),
}

/// How a role is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleName {
    /// By the id of its definition.
    Id(ObjectId),
    /// By its name, as the tenant shows it in English; folded for comparison.
    Name(String),
}

/// A text is no right in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRight {
    /// It begins with no kind that is known.
    #[error("a right in a tenant is \"role:NAME\" or \"group:ID\"")]
    Kind,
    /// The id is none.
    #[error("an id is of 32 hexadecimal digits in five groups, as the portal shows it")]
    Id,
    /// The name cannot be a role's.
    #[error("the name of a role is of 1 to 256 letters, digits, blanks and marks in one line")]
    Name,
}

/// Longest name of a role that is taken. Microsoft's own have at most 60 characters.
const NAME_MAX: usize = 256;

impl FromStr for EntraRight {
    type Err = BadRight;

    fn from_str(text: &str) -> Result<Self, BadRight> {
        if let Some(id) = text.strip_prefix("group:") {
            return id.parse().map(Self::Group);
        }
        let name = text.strip_prefix("role:").ok_or(BadRight::Kind)?;
        if let Ok(id) = name.parse() {
            return Ok(Self::Role(RoleName::Id(id)));
        }
        let folded = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let sound = !folded.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control);
        if sound { Ok(Self::Role(RoleName::Name(folded))) } else { Err(BadRight::Name) }
    }
}

impl fmt::Display for EntraRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(RoleName::Id(id)) => write!(f, "role:{id}"),
            Self::Role(RoleName::Name(name)) => write!(f, "role:{name}"),
            Self::Group(id) => write!(f, "group:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "29232CDF-9323-42fd-ade2-1d097af3e4de";

    #[test]
    fn a_role_is_one_right_however_its_name_is_written() {
        let right = |text: &str| text.parse::<EntraRight>();
        assert_eq!(right("role:Exchange Administrator"), right("role: exchange  ADMINISTRATOR"));
        assert_eq!(right(&format!("role:{ID}")), right(&format!("role:{}", ID.to_lowercase())));
        assert_ne!(right(&format!("role:{ID}")), right(&format!("group:{ID}")));
    }

    #[test]
    fn what_is_no_right_of_a_tenant_is_refused_with_what_one_is() {
        for (text, why) in [
            ("", BadRight::Kind),
            ("CN=Domain Admins,DC=acme", BadRight::Kind),
            ("Role:x", BadRight::Kind),
            ("role:", BadRight::Name),
            ("role:  ", BadRight::Name),
            ("role:a\nb", BadRight::Name),
            ("group:Helpdesk", BadRight::Id),
            ("group:29232cdf932342fdade21d097af3e4de", BadRight::Id),
            ("group:29232cdf-9323-42fd-ade2-1d097af3e4dg", BadRight::Id),
            ("group:29232cdf-9323-42fd-ade2-1d097af3e4de/owner", BadRight::Id),
            ("group:29232cdf-93-2342fd-ade2-1d097af3e4de", BadRight::Id),
        ] {
            assert_eq!(text.parse::<EntraRight>(), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_right_survives_being_written_and_read(text in "(role:|group:)?\\PC{0,60}") {
            if let Ok(right) = text.parse::<EntraRight>() {
                prop_assert_eq!(right.to_string().parse::<EntraRight>(), Ok(right));
            }
        }
    }
}
