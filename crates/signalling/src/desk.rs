//! The desk: bans, webhooks and reports, behind the one trait by which signalling asks and tells.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use crate::bans::Bans;
use crate::code::Code;
use crate::hooks::{Answer, Happened, Hooks, Who, Wish};
use crate::report::Reports;
use crate::webhook::Webhooks;

/// Everybody who has a say. Each part is shared with the node's API.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Who may not join.
    pub bans: Arc<Bans>,
    /// Who is told, and asked.
    pub webhooks: Arc<Webhooks>,
    /// What clients say of their side.
    pub reports: Arc<Reports>,
}

impl Hooks for Desk {
    fn banned(&self, who: &Who) -> Option<Code> {
        self.bans.check(who, SystemTime::now())
    }

    fn may(&self, who: &Who, wish: Wish) -> Option<Answer<'_>> {
        let who = self.webhooks.asks().then(|| who.clone())?;
        Some(Box::pin(async move { self.webhooks.ask(&who, wish).await }))
    }

    fn happened(&self, who: &Who, what: Happened) {
        self.webhooks.tell(who, &what);
        if matches!(what, Happened::Left(_)) {
            self.reports.forget(who);
        }
    }

    fn report(&self, who: &Who, report: &Value) {
        self.reports.take(who, report);
    }
}
