//! Accounts and rights of a machine with accounts of its own, as the configuration writes them, as the broker asks for them and as
//! the machine's own side reads them: one grammar for all three.

mod name;
mod right;
mod sid;
mod system;

pub use name::{AccountName, BadName, GroupName, Token};
pub use right::{BadRight, LocalRight, PublicKey, SudoCommand};
pub use sid::{BadSid, Sid};
pub use system::System;
