//! An account database that answers as Windows documents it, for tests of the rules above the calls. It speaks German, and some of
//! its groups have members whose accounts are gone.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use ticketgate_credentials::Secret;

use super::sam::{
    ALREADY_MEMBER, CLOSED, Change, DISABLED, FOREVER, NO_FILE, NO_MEMBER, NO_USER, Sam, SamError,
    USER_EXISTS, User,
};
use crate::local::Sid;

pub(super) const MACHINE: &str = "S-1-5-21-3623811015-3361044348-30300820";
pub(super) const ADMINISTRATORS: &str = "S-1-5-32-544";
pub(super) const DESKTOP: &str = "S-1-5-32-555";
const GONE: &str = "S-1-5-21-1-2-3-1104";
/// `NERR_PasswordTooShort`
const BAD_PASSWORD: u32 = 2245;
/// `ERROR_NO_SUCH_ALIAS`
pub(super) const NO_ALIAS: u32 = 1376;

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) user: User,
    pub(super) password: String,
}

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) users: RefCell<BTreeMap<String, Account>>,
    /// Name and members by SID.
    pub(super) groups: RefCell<BTreeMap<String, (&'static str, BTreeSet<String>)>>,
    pub(super) profiles: RefCell<BTreeSet<String>>,
    /// Every call that changed something, in order.
    pub(super) wrote: RefCell<Vec<String>>,
    /// How many more changes are let through; then each is refused with this number.
    pub(super) fails: Cell<Option<(usize, u32)>>,
    pub(super) is_controller: bool,
    pub(super) is_administrator: bool,
    pub(super) shortest_password: u32,
    next: Cell<u32>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let group = |sid: &str, name| (sid.to_owned(), (name, BTreeSet::from([GONE.to_owned()])));
        Self {
            users: RefCell::default(),
            groups: RefCell::new(BTreeMap::from([
                group(ADMINISTRATORS, "Administratoren"),
                group(DESKTOP, "Remotedesktopbenutzer"),
            ])),
            profiles: RefCell::default(),
            wrote: RefCell::default(),
            fails: Cell::default(),
            is_controller: false,
            is_administrator: true,
            shortest_password: 0,
            next: Cell::new(1001),
        }
    }

    /// An account as somebody else made it.
    pub(super) fn with(self, name: &str, number: u32, comment: &str) -> Self {
        let user = User {
            sid: format!("{MACHINE}-{number}").parse().unwrap(),
            flags: 0x0201,
            comment: comment.to_owned(),
            expires: FOREVER,
            primary_group: 513,
        };
        self.users.borrow_mut().insert(name.to_owned(), Account { user, password: "theirs".into() });
        self
    }

    pub(super) fn account(&self, name: &str) -> Option<Account> {
        self.users.borrow().get(name).cloned()
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut User)) {
        change(&mut self.users.borrow_mut().get_mut(name).unwrap().user);
    }

    /// Whether Windows lets somebody log on at a time, in seconds since 1970.
    pub(super) fn lets_in(&self, name: &str, password: &str, at: i64) -> bool {
        self.account(name).is_some_and(|account| {
            let over = account.user.expires != FOREVER && i64::from(account.user.expires) <= at;
            account.user.flags & DISABLED == 0 && !over && account.password == password
        })
    }

    pub(super) fn members(&self, group: &str) -> BTreeSet<String> {
        let groups = self.groups.borrow();
        groups[group].1.iter().filter(|member| *member != GONE).cloned().collect()
    }

    pub(super) fn take_wrote(&self) -> Vec<String> {
        self.wrote.take()
    }

    fn write(&self, call: &'static str, what: String) -> Result<(), SamError> {
        match self.fails.get() {
            Some((0, code)) => return Err(SamError { call, code }),
            Some((left, code)) => self.fails.set(Some((left - 1, code))),
            None => {}
        }
        self.wrote.borrow_mut().push(what);
        Ok(())
    }
}

fn error<T>(call: &'static str, code: u32) -> Result<T, SamError> {
    Err(SamError { call, code })
}

impl Sam for Fake {
    fn machine(&self) -> Result<(String, Sid), SamError> {
        Ok(("FILES1".into(), MACHINE.parse().unwrap()))
    }

    fn is_domain_controller(&self) -> Result<bool, SamError> {
        Ok(self.is_controller)
    }

    fn is_administrator(&self) -> Result<bool, SamError> {
        Ok(self.is_administrator)
    }

    fn shortest_password(&self) -> Result<u32, SamError> {
        Ok(self.shortest_password)
    }

    fn names(&self) -> Result<Vec<String>, SamError> {
        Ok(self.users.borrow().keys().cloned().collect())
    }

    fn user(&self, name: &str) -> Result<Option<User>, SamError> {
        let users = self.users.borrow();
        Ok(users
            .iter()
            .find(|(there, _)| there.eq_ignore_ascii_case(name))
            .map(|(_, account)| account.user.clone()))
    }

    fn groups_of(&self, name: &str) -> Result<Vec<Sid>, SamError> {
        let Some(user) = self.user(name)? else { return error("NetUserGetLocalGroups", NO_USER) };
        let groups = self.groups.borrow();
        let held = groups.iter().filter(|(_, (_, members))| members.contains(user.sid.as_str()));
        Ok(held.map(|(sid, _)| sid.parse().unwrap()).collect())
    }

    fn group(&self, sid: &Sid) -> Result<Option<String>, SamError> {
        Ok(self.groups.borrow().get(sid.as_str()).map(|(name, _)| (*name).to_owned()))
    }

    fn add(&self, name: &str, password: &Secret, comment: &str) -> Result<(), SamError> {
        if password.expose().len() < usize::try_from(self.shortest_password).unwrap() {
            return error("NetUserAdd", BAD_PASSWORD);
        }
        if self.user(name)?.is_some() {
            return error("NetUserAdd", USER_EXISTS);
        }
        self.write("NetUserAdd", "add".into())?;
        let number = self.next.get();
        self.next.set(number + 1);
        let user = User {
            sid: format!("{MACHINE}-{number}").parse().unwrap(),
            flags: CLOSED,
            comment: comment.to_owned(),
            // What Windows gives an account that is made.
            expires: FOREVER,
            primary_group: 513,
        };
        let account = Account { user, password: password.expose().to_owned() };
        self.users.borrow_mut().insert(name.to_owned(), account);
        Ok(())
    }

    fn set(&self, name: &str, change: Change<'_>) -> Result<(), SamError> {
        if self.user(name)?.is_none() {
            return error("NetUserSetInfo", NO_USER);
        }
        let what = match &change {
            Change::Password(_) => "password".to_owned(),
            Change::Comment(_) => "comment".to_owned(),
            Change::Flags(flags) => format!("flags {flags:#x}"),
            Change::Expires(seconds) => format!("expires {seconds}"),
        };
        self.write("NetUserSetInfo", what)?;
        let mut users = self.users.borrow_mut();
        let account = users.iter_mut().find(|(there, _)| there.eq_ignore_ascii_case(name)).unwrap().1;
        match change {
            Change::Password(password) => account.password = password.expose().to_owned(),
            Change::Comment(comment) => account.user.comment = comment.to_owned(),
            Change::Flags(flags) => account.user.flags = flags,
            Change::Expires(seconds) => account.user.expires = seconds,
        }
        Ok(())
    }

    fn join(&self, group: &str, account: &Sid) -> Result<(), SamError> {
        self.write("NetLocalGroupAddMembers", format!("join {group}"))?;
        let mut groups = self.groups.borrow_mut();
        match groups.values_mut().find(|(name, _)| *name == group) {
            None => error("NetLocalGroupAddMembers", NO_ALIAS),
            Some((_, members)) => match members.insert(account.to_string()) {
                true => Ok(()),
                false => error("NetLocalGroupAddMembers", ALREADY_MEMBER),
            },
        }
    }

    fn leave(&self, group: &str, account: &Sid) -> Result<(), SamError> {
        self.write("NetLocalGroupDelMembers", format!("leave {group}"))?;
        let mut groups = self.groups.borrow_mut();
        match groups.values_mut().find(|(name, _)| *name == group) {
            None => error("NetLocalGroupDelMembers", NO_ALIAS),
            Some((_, members)) => match members.remove(account.as_str()) {
                true => Ok(()),
                false => error("NetLocalGroupDelMembers", NO_MEMBER),
            },
        }
    }

    fn remove_profile(&self, account: &Sid) -> Result<(), SamError> {
        self.write("DeleteProfile", "profile".into())?;
        if self.profiles.borrow_mut().remove(account.as_str()) {
            Ok(())
        } else {
            error("DeleteProfile", NO_FILE)
        }
    }

    fn delete(&self, name: &str) -> Result<(), SamError> {
        self.write("NetUserDel", "delete".into())?;
        let Some(account) = self.users.borrow_mut().remove(name) else { return error("NetUserDel", NO_USER) };
        for (_, members) in self.groups.borrow_mut().values_mut() {
            members.remove(account.user.sid.as_str());
        }
        Ok(())
    }
}
