//! One call to a team's broker: which address it goes to, what it shows, and when it is repeated at another one. Nothing is repeated
//! that could be done twice: only questions, and what carries a key, whose repeat finds the first result.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use super::Client;
use super::ask::Ask;
use super::connections::{Answer, Broken, Connection, Sent};
use super::identity::SignedIn;
use super::network::{Network, Unreached};
use super::transport::{Cut, gone, refused, unsayable, whole};
use crate::team::Address;

/// An answer that has not come after so long makes look whether its broker is there at all; and again after so long each time. What a
/// slow directory takes is not what a dead broker takes.
const LOOK_AFTER: Duration = Duration::from_secs(3);
/// How long that look may take.
const LOOK: Duration = Duration::from_millis(2_500);
/// While no address answers, what carries a key is tried again for so long: a broker that is restarted is back by then.
const WAIT_FOR_RETURN: Duration = Duration::from_secs(4);
/// The pauses between those attempts; the last one is repeated.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(150), Duration::from_millis(400), Duration::from_millis(800)];

/// The proof beside a token (RFC 9449 §4.1), and the word that the broker wants to find in the next one (§8).
const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What a body was read into.
pub(super) type Whole = (StatusCode, Zeroizing<Vec<u8>>);

/// An answer that is not there yet.
type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// The way over a network, as a client knows it: a program that never makes one has none of it, neither TLS nor keys nor key store.
/// The relay is such a program, which every open port of a browser keeps in memory.
pub(super) trait Over: Send + Sync + std::fmt::Debug {
    /// A call whose answer is read to its end.
    fn whole<'a>(&self, client: &'a Client, ask: &'a Ask) -> Later<'a, Whole>;

    /// A call of whose answer only the head is waited for.
    fn head<'a>(&self, client: &'a Client, ask: &'a Ask) -> Later<'a, Answer>;
}

/// See [`Over`].
#[derive(Debug)]
pub(super) struct OverNetwork;

impl Over for OverNetwork {
    fn whole<'a>(&self, client: &'a Client, ask: &'a Ask) -> Later<'a, Whole> {
        Box::pin(async { client.whole_over(client.connections.network().ok_or_else(unsayable)?, ask).await })
    }

    fn head<'a>(&self, client: &'a Client, ask: &'a Ask) -> Later<'a, Answer> {
        Box::pin(async { client.head_over(client.connections.network().ok_or_else(unsayable)?, ask).await })
    }
}

/// What came.
enum Got {
    /// A stream's head.
    Head(Box<Answer>),
    /// An answer to its end.
    Whole(Whole),
}

/// How one attempt on one connection ended.
enum Tried {
    Got(Got),
    /// The broker has not seen it.
    Unsent,
    /// The broker said that it does nothing of it: another may.
    Elsewhere(Problem),
    /// Nobody knows whether the broker did it.
    Lost(Problem),
}

/// What was learnt of who we are during one call. Each leads to one repeat at most.
#[derive(Default)]
struct Learnt {
    nonce: bool,
    other_sign_in: bool,
}

/// As whom a request goes.
struct As<'a> {
    shown: Option<&'a SignedIn>,
    nonce: Option<&'a str>,
}

/// What a repeat goes with.
enum Mended {
    /// The same, with the word that the broker wants to find.
    SameWithNonce,
    /// Another token.
    As(Arc<SignedIn>),
}

impl Client {
    /// A call whose answer is read to its end.
    async fn whole_over(&self, network: &Network, ask: &Ask) -> Result<Whole, Problem> {
        let began = Instant::now();
        let mut pauses = PAUSES.iter();
        let mut pause = Duration::ZERO;
        loop {
            let missed = match self.round(network, ask, false).await {
                Ok(Got::Whole(answer)) => return Ok(answer),
                Ok(Got::Head(_)) => return Err(gone()),
                Err(problem) => problem,
            };
            pause = pauses.next().copied().unwrap_or(pause);
            // A certificate that is not to be trusted does not pass by itself.
            let passes = missed.code == Code::Stopping
                || missed.code == Code::BrokerUnreachable && missed.retry_after_s.is_some();
            if !passes || !ask.is_keyed() || began.elapsed() + pause > WAIT_FOR_RETURN {
                return Err(missed);
            }
            sleep(pause).await;
        }
    }

    /// A call of whose answer only the head is waited for.
    async fn head_over(&self, network: &Network, ask: &Ask) -> Result<Answer, Problem> {
        match self.round(network, ask, true).await? {
            Got::Head(answer) => Ok(*answer),
            Got::Whole((status, body)) => Err(refused(status.as_u16(), &body)),
        }
    }

    /// Asks at each address until there is an answer.
    async fn round(&self, network: &Network, ask: &Ask, is_stream: bool) -> Result<Got, Problem> {
        let mut dead = Vec::new();
        let mut last: Option<Problem> = None;
        let mut learnt = Learnt::default();
        let mut shown = self.shown().await?;
        loop {
            let (connection, is_new) = match self.connections.ready(&dead).await {
                Some(kept) => (kept, false),
                None => match self.connections.reach(network, &dead).await {
                    Ok(made) => (made, true),
                    Err(why) => return Err(last.unwrap_or_else(|| why.into())),
                },
            };
            let at = connection.at();
            let nonce = self.identity.as_ref().and_then(|identity| identity.nonce(at));
            let as_whom = As { shown: shown.as_deref(), nonce: nonce.as_deref() };
            match self.attempt(network, ask, connection, &as_whom, is_stream).await? {
                Tried::Got(got) => match self.mends(at, &got, &as_whom, &mut learnt).await? {
                    Some(Mended::SameWithNonce) => {}
                    Some(Mended::As(other)) => shown = Some(other),
                    None => return Ok(got),
                },
                Tried::Unsent => {}
                Tried::Elsewhere(problem) => {
                    dead.push(at);
                    last = Some(problem);
                }
                Tried::Lost(problem) if !ask.again => return Err(problem),
                Tried::Lost(problem) => {
                    // One that was kept may only have been closed meanwhile.
                    self.connections.give_up(at);
                    if is_new {
                        dead.push(at);
                    }
                    last = Some(problem);
                }
            }
        }
    }

    /// One attempt over one connection.
    async fn attempt(
        &self,
        network: &Network,
        ask: &Ask,
        connection: Connection,
        as_whom: &As<'_>,
        is_stream: bool,
    ) -> Result<Tried, Problem> {
        let at = connection.at();
        let address = network.address(at).ok_or_else(unsayable)?;
        let mut request = ask.request(&address.authority())?;
        show(&mut request, ask, address, as_whom)?;
        let work = async {
            let answer = match connection.try_send(request).await {
                Sent::Answered(answer) => answer,
                Sent::Unsent(_) => return Tried::Unsent,
                Sent::Broken(broken) => return Tried::Lost(lost(broken)),
            };
            if let (Some(nonce), Some(identity)) = (answer.header(&NONCE), &self.identity) {
                identity.hear_nonce(at, nonce);
            }
            if is_stream && answer.status().is_success() {
                return Tried::Got(Got::Head(Box::new(answer)));
            }
            let status = answer.status();
            match whole(answer).await {
                Ok(body) => judge(status, body),
                Err(Cut::Off) => Tried::Lost(gone()),
                Err(cut) => Tried::Elsewhere(cut.problem()),
            }
        };
        // Where there is another address, or the connection may be the one that is dead.
        if !ask.again {
            return Ok(work.await);
        }
        tokio::select! {
            biased;
            tried = work => Ok(tried),
            () = self.until_dead(network, at) => Ok(Tried::Lost(Unreached::Silent.into())),
        }
    }

    /// Waits until the broker at this address does not even answer who it is.
    async fn until_dead(&self, network: &Network, at: usize) {
        loop {
            sleep(LOOK_AFTER).await;
            if network.team().addresses.len() < 2 {
                continue;
            }
            let look = async {
                let stream = network.reach(at).await.ok()?;
                let connection = self.connections.begin(at, stream).await.ok()?;
                let request = Ask::get("/v1/broker").request(&network.address(at)?.authority()).ok()?;
                // Whatever it says: it is there.
                connection.send(request).await.ok()
            };
            if timeout(LOOK, look).await.ok().flatten().is_none() {
                return;
            }
        }
    }

    /// Whether a refusal is mended by a repeat, and how: with the word that the broker wants to find in a proof, or by a sign-in or
    /// renewal of another process of this machine. `None`: what came is the answer.
    async fn mends(
        &self,
        at: usize,
        got: &Got,
        as_whom: &As<'_>,
        learnt: &mut Learnt,
    ) -> Result<Option<Mended>, Problem> {
        let Got::Whole((StatusCode::UNAUTHORIZED, _)) = got else { return Ok(None) };
        let Some(identity) = &self.identity else { return Ok(None) };
        let is_new = identity.nonce(at).as_deref() != as_whom.nonce;
        if as_whom.shown.is_some() && is_new && !std::mem::replace(&mut learnt.nonce, true) {
            return Ok(Some(Mended::SameWithNonce));
        }
        if self.acting.is_some() || std::mem::replace(&mut learnt.other_sign_in, true) {
            return Ok(None);
        }
        Ok(self.other_than(identity, as_whom.shown).await?.map(Mended::As))
    }
}

/// Puts token and proof on a request.
fn show(
    request: &mut Request<String>,
    ask: &Ask,
    address: &Address,
    as_whom: &As<'_>,
) -> Result<(), Problem> {
    let Some(shown) = as_whom.shown else { return Ok(()) };
    let url = format!("{address}{}", ask.plain_path());
    let headers = shown.headers(ask.method.as_str(), &url, as_whom.nonce);
    let (authorization, proof) = headers.ok_or_else(unsayable)?;
    let text = |text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| unsayable())?;
        value.set_sensitive(true);
        Ok::<_, Problem>(value)
    };
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, text(&authorization)?);
    }
    request.headers_mut().insert(PROOF, text(&proof)?);
    Ok(())
}

/// What an answer that was read to its end means for where to ask next.
fn judge(status: StatusCode, body: Zeroizing<Vec<u8>>) -> Tried {
    let said = || serde_json::from_slice::<Problem>(&body);
    match status {
        // Brokers say what is the matter; what stands before them does not, when it finds none.
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            match said() {
                Ok(problem) if problem.code == Code::Stopping => Tried::Elsewhere(problem),
                Ok(_) => Tried::Got(Got::Whole((status, body))),
                Err(_) => Tried::Lost(Unreached::Refused.into()),
            }
        }
        _ => Tried::Got(Got::Whole((status, body))),
    }
}

fn lost(broken: Broken) -> Problem {
    if broken.turned_away { Unreached::TurnedAway.into() } else { gone() }
}
