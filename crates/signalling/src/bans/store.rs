//! The file of bans: a `redb` database with one table, from a ban's number to its JSON.
//!
//! Each change is one transaction, on the disk when it returns. The highest number given is kept
//! too, so that a lifted ban's number does not come back as another's.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableTable, TableDefinition};

use super::Ban;

const BANS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bans");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const LAST_ID: &str = "last ban";

/// Why the file of bans cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened.
    #[error("opening {} (signalling.store): {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<redb::Error>,
    },
    /// It cannot be read or written.
    #[error("reading or writing the file of bans (signalling.store): {0}")]
    Access(#[source] Box<redb::Error>),
    /// It holds something else than bans.
    #[error("the file of bans (signalling.store) was written by another version: {0}")]
    Foreign(#[from] serde_json::Error),
}

fn access(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Access(Box::new(error.into()))
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store(Database);

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Database::create(path).map_err(|error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(error.into()),
        })?;
        Ok(Self(store))
    }

    /// All bans, and the highest number that was ever given.
    pub(super) fn load(&self) -> Result<(Vec<Ban>, u64), StoreError> {
        let change = self.0.begin_write().map_err(access)?;
        let mut bans = Vec::new();
        let last;
        {
            // Opening for writing makes the tables of a new file.
            let table = change.open_table(BANS).map_err(access)?;
            for entry in table.iter().map_err(access)? {
                let (_, json) = entry.map_err(access)?;
                bans.push(serde_json::from_slice::<Ban>(json.value())?);
            }
            let counters = change.open_table(COUNTERS).map_err(access)?;
            let given = counters.get(LAST_ID).map_err(access)?;
            last = given.map_or(0, |last| last.value());
        }
        change.commit().map_err(access)?;
        Ok((bans, last))
    }

    /// Takes some bans out and puts one in, all or nothing.
    pub(super) fn replace(&self, out: &[u64], ban: Option<&Ban>) -> Result<(), StoreError> {
        let change = self.0.begin_write().map_err(access)?;
        {
            let mut table = change.open_table(BANS).map_err(access)?;
            for id in out {
                table.remove(id).map_err(access)?;
            }
            if let Some(ban) = ban {
                let json = serde_json::to_vec(ban)?;
                table.insert(ban.id, json.as_slice()).map_err(access)?;
                let mut counters = change.open_table(COUNTERS).map_err(access)?;
                counters.insert(LAST_ID, ban.id).map_err(access)?;
            }
        }
        change.commit().map_err(access)
    }
}
