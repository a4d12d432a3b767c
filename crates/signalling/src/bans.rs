//! Bans: who may not join, for a time or for ever.
//!
//! The list is kept in memory, where every join looks, and in a file that survives a restart. A ban
//! is in the file before it holds, and out of it before it is lifted. One target has one ban.

mod store;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::hooks::Who;
use store::Store;
pub use store::StoreError;

/// The most bans there may be: they are all in memory.
pub const BANS_MAX: usize = 100_000;

/// Who is banned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A uid in every channel of an app.
    Uid {
        /// The app.
        app: String,
        /// The uid.
        uid: String,
    },
    /// An address, in every app.
    Ip(IpAddr),
    /// A channel of an app: nobody may join it.
    Channel {
        /// The app.
        app: String,
        /// The channel.
        channel: String,
    },
}

impl Target {
    /// An address has two spellings where IPv4 comes in over IPv6; one of them is banned.
    fn canonical(self) -> Self {
        match self {
            Self::Ip(ip) => Self::Ip(ip.to_canonical()),
            other => other,
        }
    }

    /// The code that clients are told.
    pub fn code(&self) -> Code {
        match self {
            Self::Uid { .. } => Code::UidBanned,
            Self::Ip(_) => Code::IpBanned,
            Self::Channel { .. } => Code::ChannelBanned,
        }
    }

    /// Whether it is about somebody.
    pub fn hits(&self, who: &Who) -> bool {
        match self {
            Self::Uid { app, uid } => {
                let named = who.uid.as_ref().map(crate::names::Uid::as_str);
                app == who.app.as_str() && named == Some(uid)
            }
            Self::Ip(ip) => *ip == who.ip.to_canonical(),
            Self::Channel { app, channel } => {
                app == who.app.as_str() && channel == who.channel.as_str()
            }
        }
    }
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Its number, never given twice.
    pub id: u64,
    /// Who is banned.
    pub target: Target,
    /// Since when, in seconds after 1970.
    pub since: u64,
    /// Until when, in seconds after 1970; `None` for ever.
    pub until: Option<u64>,
    /// Why, for the operator.
    pub reason: String,
}

impl Ban {
    fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Why a ban was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BanError {
    /// There are as many as there may be.
    #[error("there are {BANS_MAX} bans already: lift some, or ban whole channels or addresses")]
    Full,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Default)]
struct List {
    bans: HashMap<Target, Ban>,
    last_id: u64,
}

/// The list of bans.
#[derive(Debug)]
pub struct Bans {
    list: RwLock<List>,
    store: Option<Store>,
    /// Held while the file and the list change, so that joins wait for no disk.
    changing: parking_lot::Mutex<()>,
}

impl Bans {
    /// A list that is gone with the process.
    pub fn in_memory() -> Self {
        Self::new(List::default(), None)
    }

    /// The list of a file, which is made if it is not there. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be opened, read or written, or another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Store::open(path)?;
        let (bans, last_id) = store.load()?;
        let bans = bans
            .into_iter()
            .map(|ban| (ban.target.clone(), ban))
            .collect();
        Ok(Self::new(List { bans, last_id }, Some(store)))
    }

    fn new(list: List, store: Option<Store>) -> Self {
        Self {
            list: RwLock::new(list),
            store,
            changing: parking_lot::Mutex::new(()),
        }
    }

    /// Bans, for a time or for ever. A ban of the same target makes place. Blocks on the disk.
    ///
    /// # Errors
    /// When there are too many, or the file cannot be written; nothing has changed then.
    pub fn add(
        &self,
        target: Target,
        lasting: Option<Duration>,
        reason: &str,
        now: SystemTime,
    ) -> Result<Ban, BanError> {
        let changing = self.changing.lock();
        self.forget_past(now)?;
        let target = target.canonical();
        let (id, old) = {
            let list = self.list.read();
            let old = list.bans.get(&target).map(|ban| ban.id);
            if old.is_none() && list.bans.len() >= BANS_MAX {
                return Err(BanError::Full);
            }
            (list.last_id + 1, old)
        };
        let since = seconds(now);
        let ban = Ban {
            id,
            target: target.clone(),
            since,
            until: lasting.map(|lasting| since.saturating_add(lasting.as_secs().max(1))),
            reason: reason.to_owned(),
        };
        if let Some(store) = &self.store {
            store.replace(old.as_slice(), Some(&ban))?;
        }
        let mut list = self.list.write();
        list.last_id = id;
        list.bans.insert(target, ban.clone());
        drop(changing);
        Ok(ban)
    }

    /// Lifts a ban and gives it back; `None` when there is none of this number. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be written; the ban stands then.
    pub fn lift(&self, id: u64) -> Result<Option<Ban>, StoreError> {
        let changing = self.changing.lock();
        let target = {
            let list = self.list.read();
            let ban = list.bans.values().find(|ban| ban.id == id);
            match ban {
                Some(ban) => ban.target.clone(),
                None => return Ok(None),
            }
        };
        if let Some(store) = &self.store {
            store.replace(&[id], None)?;
        }
        let lifted = self.list.write().bans.remove(&target);
        drop(changing);
        Ok(lifted)
    }

    /// Those that hold, the oldest first.
    pub fn list(&self, now: SystemTime) -> Vec<Ban> {
        let now = seconds(now);
        let list = self.list.read();
        let mut bans: Vec<_> = list
            .bans
            .values()
            .filter(|ban| ban.holds(now))
            .cloned()
            .collect();
        bans.sort_by_key(|ban| ban.id);
        bans
    }

    /// Whether somebody may not join, and with which code it is told so.
    pub fn check(&self, who: &Who, now: SystemTime) -> Option<Code> {
        let now = seconds(now);
        let list = self.list.read();
        if list.bans.is_empty() {
            return None;
        }
        let app = || who.app.as_str().to_owned();
        let uid = who.uid.as_ref().map(|uid| Target::Uid {
            app: app(),
            uid: uid.as_str().to_owned(),
        });
        let channel = Target::Channel {
            app: app(),
            channel: who.channel.as_str().to_owned(),
        };
        let targets = [uid, Some(Target::Ip(who.ip.to_canonical())), Some(channel)];
        let hit = |target: &Target| list.bans.get(target).is_some_and(|ban| ban.holds(now));
        targets
            .into_iter()
            .flatten()
            .find(hit)
            .map(|target| target.code())
    }

    /// Drops what is over, so that neither the file nor the list grows with the years.
    fn forget_past(&self, now: SystemTime) -> Result<(), StoreError> {
        let now = seconds(now);
        let list = self.list.read();
        let past: Vec<_> = list.bans.values().filter(|ban| !ban.holds(now)).collect();
        if past.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = past.iter().map(|ban| ban.id).collect();
        drop(past);
        drop(list);
        if let Some(store) = &self.store {
            store.replace(&ids, None)?;
        }
        self.list.write().bans.retain(|_, ban| ban.holds(now));
        Ok(())
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
