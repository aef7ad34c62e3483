//! Directory roles by name: the policies name them as people do, Graph by id. Read once and kept for a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ticketgate_access::entra::RoleName;
use tokio::time::Instant;

use super::failure::{About, WORD_MAX, What, told};
use super::graph::{Ask, Graph};
use super::wire::RoleDefinition;
use crate::DirectoryError;

/// How long names are kept, and how long at least before a name that is not among them is asked for again.
pub(super) const KEPT: Duration = Duration::from_secs(86_400);
const AGAIN: Duration = Duration::from_secs(60);

/// The names of a tenant's roles.
#[derive(Default)]
pub(super) struct Roles {
    kept: Mutex<Option<(Arc<Table>, Instant)>>,
    /// Held while they are asked for: who needs them meanwhile waits for that answer.
    asking: tokio::sync::Mutex<()>,
}

/// Names and ids.
#[derive(Default)]
pub(super) struct Table {
    by_name: HashMap<String, String>,
    names: HashMap<String, String>,
}

impl Table {
    pub(super) fn new(roles: Vec<RoleDefinition>) -> Self {
        let mut table = Self::default();
        for role in roles {
            let id = role.id.to_lowercase();
            if let Some(name) = role.display_name {
                table.by_name.insert(folded(&name), id.clone());
                table.names.insert(id, name);
            }
        }
        table
    }

    /// The id of a role.
    pub(super) fn id(&self, role: &RoleName) -> Option<String> {
        match role {
            RoleName::Id(id) => Some(id.to_string()),
            RoleName::Name(name) => self.by_name.get(name).cloned(),
        }
    }

    /// Sessions that named a role before it was renamed still mean it, unless another has that name now.
    fn with_former(mut self, before: &Self) -> Self {
        for (name, id) in &before.by_name {
            if self.names.contains_key(id) {
                self.by_name.entry(name.clone()).or_insert_with(|| id.clone());
            }
        }
        self
    }

    /// The name of the role with this id.
    pub(super) fn name(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Names that somebody may have meant.
    pub(super) fn near(&self, name: &str) -> Vec<String> {
        let words: Vec<&str> =
            name.split(' ').filter(|word| word.len() > 3 && !"administrator".starts_with(*word)).collect();
        let mut near: Vec<&str> = self
            .names
            .values()
            .map(String::as_str)
            .filter(|known| words.iter().any(|word| folded(known).contains(word)))
            .collect();
        near.sort_unstable();
        near.truncate(4);
        near.into_iter().map(|name| told(name, WORD_MAX)).collect()
    }
}

/// A name as it is compared.
fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Roles {
    /// What is known already.
    pub(super) fn known(&self) -> Option<Arc<Table>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(table, _)| Arc::clone(table))
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<Table>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(_, at)| at.elapsed() < age).map(|(table, _)| Arc::clone(table))
    }

    /// The names, asked for where they are not known or too old for the purpose.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn table(
        &self,
        graph: &Graph,
        no_older: Duration,
    ) -> Result<Arc<Table>, DirectoryError> {
        if let Some(table) = self.younger_than(no_older) {
            return Ok(table);
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(table) = self.younger_than(no_older) {
            return Ok(table);
        }
        let about = About { what: What::Tenant, needs: "RoleManagement.Read.Directory", writes: false };
        let ask = Ask::get("/roleManagement/directory/roleDefinitions").option("$select", "id,displayName");
        let (roles, _) = graph.list(&ask).await.map_err(|failed| failed.meaning(&about))?;
        let table = Table::new(roles);
        let table = Arc::new(match self.known() {
            Some(before) => table.with_former(&before),
            None => table,
        });
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(&table), Instant::now()));
        Ok(table)
    }

    /// The id of a role.
    ///
    /// # Errors
    /// [`DirectoryError::NoSuchRight`] with the names that come near.
    pub(super) async fn id(&self, graph: &Graph, role: &RoleName) -> Result<String, DirectoryError> {
        if let RoleName::Id(id) = role {
            return Ok(id.to_string());
        }
        let found = self.table(graph, KEPT).await?.id(role);
        if let Some(id) = found {
            return Ok(id);
        }
        let table = self.table(graph, AGAIN).await?;
        table.id(role).ok_or_else(|| DirectoryError::NoSuchRight(no_role(&table, role)))
    }
}

/// That there is no such role, and which there are.
pub(super) fn no_role(table: &Table, role: &RoleName) -> String {
    let name = match role {
        RoleName::Id(id) => return format!("the tenant has no role with the id {id}"),
        RoleName::Name(name) => name,
    };
    match table.near(name).as_slice() {
        [] => format!("the tenant has no role \"{name}\""),
        near => format!("the tenant has no role \"{name}\"; it has {}", near.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ticketgate_access::entra::EntraRight;

    #[test]
    fn a_role_that_was_renamed_is_still_found_by_its_former_name_until_another_has_it() {
        let role = |id: &str, name: &str| RoleDefinition { id: id.into(), display_name: Some(name.into()) };
        let name = |name: &str| RoleName::Name(name.into());
        let before = Table::new(vec![role("a", "Mail"), role("b", "Files"), role("c", "Old")]);
        let now = Table::new(vec![role("a", "Post"), role("b", "Mail")]).with_former(&before);
        assert_eq!(now.id(&name("post")).as_deref(), Some("a"));
        assert_eq!(now.id(&name("mail")).as_deref(), Some("b"));
        assert_eq!(now.id(&name("files")).as_deref(), Some("b"));
        assert_eq!(now.id(&name("old")), None);
        assert_eq!(now.name("b"), Some("Mail"));
    }

    #[test]
    fn a_role_is_found_by_its_name_however_it_is_written_and_near_names_are_told() {
        let role = |id: &str, name: &str| RoleDefinition { id: id.into(), display_name: Some(name.into()) };
        let table = Table::new(vec![
            role("29232CDF-9323-42fd-ade2-1d097af3e4de", "Exchange Administrator"),
            role("31392ffb-586c-42d1-9346-e59415a2cc4e", "Exchange Recipient Administrator"),
            role("62e90394-69f5-4237-9190-012177145e10", "Global Administrator"),
        ]);
        let name = |text: &str| match text.parse() {
            Ok(EntraRight::Role(name)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            table.id(&name("role:exchange  ADMINISTRATOR")).as_deref(),
            Some("29232cdf-9323-42fd-ade2-1d097af3e4de")
        );
        assert_eq!(table.name("62e90394-69f5-4237-9190-012177145e10"), Some("Global Administrator"));
        let missing = name("role:Exchange Admin");
        assert_eq!(table.id(&missing), None);
        assert_eq!(
            no_role(&table, &missing),
            "the tenant has no role \"exchange admin\"; it has Exchange Administrator, Exchange Recipient Administrator"
        );
        assert_eq!(
            no_role(&table, &name("role:Teams Administrator")),
            "the tenant has no role \"teams administrator\""
        );
    }
}
