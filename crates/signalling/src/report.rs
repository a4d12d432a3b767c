//! What clients say of their side: their `live-pusher` and `live-player`s, as last heard.
//!
//! `Report` is this project's addition to the wire. Its Content, every part of it optional:
//! `{"Pusher": Side, "Players": [Side with a "UserId"], "Log": [text]}`, where a `Side` is
//! `{"States": [{"Code": number, "Message": text}], "Net": {name: number}}`: the `statechange` events
//! since the report before, and the newest `netstatus`. What is left out stays as it was said before.
//! Whatever is said is bounded here, and nothing is believed further than the page that shows it.

mod metrics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use prometheus::Registry;
use serde_json::Value;

use crate::hooks::Who;
use crate::names::{AppId, ChannelName, Uid};
use metrics::Metrics;

/// Players of one member that are kept; a phone shows a handful.
const PLAYERS_MAX: usize = 64;

/// Numbers of one component that are kept; components have about twenty.
const NUMBERS_MAX: usize = 40;

/// Bytes of a number's name.
const NAME_MAX: usize = 40;

/// State changes of one component in one report.
const STATES_MAX: usize = 20;

/// Bytes of a state's message.
const MESSAGE_MAX: usize = 200;

/// Lines of a log that a user sent, and bytes of each.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 300;

/// Members that are kept.
const MEMBERS_MAX: usize = 100_000;

/// Members that were not heard of for this long make place when there are too many.
const STALE: Duration = Duration::from_secs(120);

/// A component's state: the code and the text of its last `statechange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// 1xxx and 3xxx for a pusher, 2xxx for a player; negative for errors.
    pub code: i64,
    /// What the component says it means.
    pub message: String,
}

/// One component, as last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// When.
    pub at: Instant,
    /// Its state.
    pub state: Option<State>,
    /// Its `netstatus`, under the component's own names.
    pub net: BTreeMap<String, f64>,
    /// How often it stalled.
    pub stalls: u64,
    /// How often it failed.
    pub errors: u64,
}

/// A member's side.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Its pusher.
    pub pusher: Option<Side>,
    /// Its players, by whom they play.
    pub players: BTreeMap<Uid, Side>,
    /// The newest lines of the log that its user sent.
    pub log: Vec<String>,
}

type Member = (AppId, ChannelName, Uid);

/// What all members said last.
#[derive(Debug)]
pub struct Reports {
    members: DashMap<Member, Heard>,
    metrics: Metrics,
}

impl Reports {
    /// Nothing heard yet.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            members: DashMap::new(),
            metrics: Metrics::new(registry)?,
        })
    }

    /// Takes a member's report. What cannot be read in it is left out.
    pub fn take(&self, who: &Who, report: &Value) {
        let Some(member) = member(who) else { return };
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(&member) {
            self.members.retain(|_, heard| heard.at.elapsed() < STALE);
            if self.members.len() >= MEMBERS_MAX {
                return;
            }
        }
        let now = Instant::now();
        let mut heard = self.members.entry(member).or_insert_with(|| Heard {
            at: now,
            pusher: None,
            players: BTreeMap::new(),
            log: Vec::new(),
        });
        heard.at = now;
        if let Some(side @ Value::Object(_)) = report.get("Pusher") {
            let news = News::read(side);
            let pusher = heard.pusher.get_or_insert_with(|| Side::new(now));
            self.metrics.pusher(&news);
            pusher.learn(news, now);
        }
        let players = report.get("Players").and_then(Value::as_array);
        for side in players.into_iter().flatten().take(PLAYERS_MAX) {
            let Ok(uid) = Uid::from_json(side.get("UserId")) else {
                continue;
            };
            let news = News::read(side);
            self.metrics.player(&news);
            heard.player(uid, now).learn(news, now);
        }
        if let Some(lines) = report.get("Log").and_then(Value::as_array) {
            // A long log comes in several parts.
            let newest = lines.iter().rev().take(LINES_MAX).rev();
            let newest = newest.filter_map(|line| Some(cut(line.as_str()?, LINE_MAX)));
            heard.log.extend(newest);
            let too_many = heard.log.len().saturating_sub(LINES_MAX);
            heard.log.drain(..too_many);
        }
    }

    /// What a member said last.
    pub fn last(&self, app: &AppId, channel: &ChannelName, uid: &Uid) -> Option<Heard> {
        let member = (app.clone(), channel.clone(), uid.clone());
        self.members.get(&member).map(|heard| heard.clone())
    }

    /// Forgets a member that has left.
    pub fn forget(&self, who: &Who) {
        if let Some(member) = member(who) {
            self.members.remove(&member);
        }
    }
}

fn member(who: &Who) -> Option<Member> {
    let uid = who.uid.clone()?;
    Some((who.app.clone(), who.channel.clone(), uid))
}

impl Heard {
    /// A player of its; the one that was silent for longest makes place when there are too many.
    fn player(&mut self, uid: Uid, now: Instant) -> &mut Side {
        if self.players.len() >= PLAYERS_MAX && !self.players.contains_key(&uid) {
            let silent = self.players.iter().min_by_key(|(_, side)| side.at);
            if let Some(silent) = silent.map(|(uid, _)| uid.clone()) {
                self.players.remove(&silent);
            }
        }
        self.players.entry(uid).or_insert_with(|| Side::new(now))
    }
}

/// What one report says of a component.
#[derive(Debug)]
struct News {
    states: Vec<State>,
    net: Option<BTreeMap<String, f64>>,
}

impl News {
    fn read(side: &Value) -> Self {
        let states = side.get("States").and_then(Value::as_array);
        let states = states.into_iter().flatten().rev().take(STATES_MAX);
        let mut states: Vec<_> = states.filter_map(State::read).collect();
        states.reverse();
        let net = side.get("Net").and_then(Value::as_object).map(|net| {
            net.iter()
                .filter(|(name, _)| name.len() <= NAME_MAX)
                .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
                .take(NUMBERS_MAX)
                .collect()
        });
        Self { states, net }
    }

    /// What `live-player` says when it stalls: it is loading, or it lagged.
    fn stalls(&self) -> u64 {
        self.count(|code| matches!(code, 2007 | 2105))
    }

    fn errors(&self) -> u64 {
        self.count(|code| code < 0)
    }

    fn count(&self, is: impl Fn(i64) -> bool) -> u64 {
        self.states
            .iter()
            .map(|state| u64::from(is(state.code)))
            .sum()
    }
}

impl Side {
    fn new(at: Instant) -> Self {
        Self {
            at,
            state: None,
            net: BTreeMap::new(),
            stalls: 0,
            errors: 0,
        }
    }

    fn learn(&mut self, mut news: News, now: Instant) {
        self.at = now;
        self.stalls = self.stalls.saturating_add(news.stalls());
        self.errors = self.errors.saturating_add(news.errors());
        self.state = news.states.pop().or(self.state.take());
        if let Some(net) = news.net {
            self.net = net;
        }
    }
}

impl State {
    fn read(value: &Value) -> Option<Self> {
        let message = value.get("Message").and_then(Value::as_str);
        Some(Self {
            code: value.get("Code")?.as_i64()?,
            message: cut(message.unwrap_or_default(), MESSAGE_MAX),
        })
    }
}

/// Some versions of the components send numbers as text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The longest start of a text that has no more bytes than `max`.
fn cut(text: &str, max: usize) -> String {
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| *end <= max).last().unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
