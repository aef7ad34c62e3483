//! Several brokers on one ledger and one directory: each account is one broker's at a time, and what a stopped or dead one leaves is
//! mended by the others.

mod away;
mod clocks;
mod database;
mod notes;
mod paused;
mod process;
mod random;
mod shared_out;
mod together;
mod world;

use self::database::Database;
pub(super) use self::process::Through;
use self::world::{Many, Member};
use super::*;
