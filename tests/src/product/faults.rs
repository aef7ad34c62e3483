//! A broker that meets a fault at a named point: a ledger write (`ledger.session_begin`) or a directory call
//! (`directory.open`). `native-host/src/faults.rs` says which faults there are. The binary needs the feature `fault-points`.

use super::{Product, Said};
use crate::Result;
use crate::patience::{LIMIT, until};

impl Product {
    /// Starts a broker that meets a fault: `directory.open:before` and `…:after` kill it there as a power cut would,
    /// `ledger.session_active#2:error` is a refusal at the second passage.
    ///
    /// # Errors
    /// As [`Product::start_broker`]; a broker that is killed before it answers is no error.
    pub fn start_broker_meeting(&mut self, fault: &str) -> Result<()> {
        self.start_broker_with(&[("TICKETGATE_FAULT", fault)])
    }

    /// Starts a broker that waits before a passage of a point (`directory.grant#2`: the second) until
    /// [`Product::let_broker_go_on`].
    ///
    /// # Errors
    /// As [`Product::start_broker`].
    pub fn start_broker_pausing_at(&mut self, point: &str) -> Result<()> {
        let [go_on, points] = ["go-on", "points"].map(|name| self.folder.join(name).display().to_string());
        let pause = format!("{point}:pause={go_on}");
        self.start_broker_with(&[("TICKETGATE_FAULT", &pause), ("TICKETGATE_POINTS", &points)])
    }

    /// Starts a broker that notes every point that it passes, for [`Product::points`], and meets a fault where `fault` is
    /// not empty.
    ///
    /// # Errors
    /// As [`Product::start_broker_meeting`].
    pub fn start_broker_noting_points(&mut self, fault: &str) -> Result<()> {
        let points = self.folder.join("points").display().to_string();
        let environment = [("TICKETGATE_POINTS", points.as_str()), ("TICKETGATE_FAULT", fault)];
        self.start_broker_with(environment.get(..if fault.is_empty() { 1 } else { 2 }).unwrap_or_default())
    }

    /// Runs a command of the program that notes every point that it passes itself, and meets a fault where `fault` is not
    /// empty.
    ///
    /// # Errors
    /// As [`Product::cli`].
    pub fn cli_meeting(&self, fault: &str, arguments: &[&str]) -> Result<Said> {
        let points = self.folder.join("points").display().to_string();
        let environment = [("TICKETGATE_POINTS", points.as_str()), ("TICKETGATE_FAULT", fault)];
        self.cli_in(environment.get(..if fault.is_empty() { 1 } else { 2 }).unwrap_or_default(), arguments)
    }

    /// The points that brokers passed here while they noted or paused, in order.
    pub fn points(&self) -> Vec<String> {
        let noted = std::fs::read_to_string(self.folder.join("points")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    /// Forgets the points that were noted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_points(&self) -> Result<()> {
        self.folder.write("points", "").map(drop)
    }

    /// Waits until the broker has come to this passage of a point.
    ///
    /// # Errors
    /// It never does.
    pub fn broker_reaches(&self, passage: &str) -> Result<()> {
        let (point, count) = passage.split_once('#').unwrap_or((passage, "1"));
        let count: usize = count.parse()?;
        until(&format!("the broker to reach {passage}"), LIMIT, || {
            Ok(self.points().iter().filter(|passed| *passed == point).count() >= count)
        })
    }

    /// The end of the pause.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn let_broker_go_on(&self) -> Result<()> {
        self.folder.write("go-on", "").map(drop)
    }
}
