//! The admin API of bans: who may not join, for a time or for ever.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as AxumState};
use axum::http::StatusCode;
use lockgate_signalling::bans::{self, Target};
use lockgate_signalling::{ChannelName, Uid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::error::{ApiError, ErrorBody};
use super::model::{Page, Paging};

/// The longest reason, in bytes.
const REASON_MAX: usize = 500;

/// Whom to ban: a uid of an app, an address, or a channel of an app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    /// The app of the uid or the channel.
    app: Option<String>,
    /// A uid, in every channel of the app.
    uid: Option<String>,
    /// An address, in every app.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// A channel: nobody may join it.
    channel: Option<String>,
    /// For how long; left out for ever.
    seconds: Option<u64>,
    /// Why, for whoever reads the list.
    #[serde(default)]
    reason: String,
}

/// A ban.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ban {
    /// Its number: what `DELETE /api/v1/bans/{id}` takes.
    id: u64,
    /// The app of the uid or the channel.
    app: Option<String>,
    /// The uid that is banned.
    uid: Option<String>,
    /// The address that is banned.
    ip: Option<String>,
    /// The channel that is banned.
    channel: Option<String>,
    /// Since when, in seconds after 1970.
    since: u64,
    /// Until when, in seconds after 1970; null for ever.
    until: Option<u64>,
    /// Why.
    reason: String,
}

/// A ban that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Banned {
    /// The ban.
    #[serde(flatten)]
    ban: Ban,
    /// How many members it removed.
    removed: usize,
}

impl NewBan {
    fn target(&self) -> Result<Target, ApiError> {
        let app = || {
            let app = self.app.clone().filter(|app| !app.is_empty());
            app.ok_or_else(|| ApiError::bad_target("a uid or a channel is one of an app"))
        };
        match (&self.uid, &self.ip, &self.channel) {
            (Some(uid), None, None) => Ok(Target::Uid {
                app: app()?,
                uid: Uid::parse(uid)
                    .ok_or_else(|| ApiError::bad_target("no uid can be like this"))?
                    .to_string(),
            }),
            (None, Some(ip), None) => Ok(Target::Ip(*ip)),
            (None, None, Some(channel)) => Ok(Target::Channel {
                app: app()?,
                channel: ChannelName::parse(channel)
                    .ok_or_else(|| ApiError::bad_target("no channel can be called this"))?
                    .to_string(),
            }),
            _ => Err(ApiError::bad_target("a ban has one target")),
        }
    }
}

impl From<bans::Ban> for Ban {
    fn from(ban: bans::Ban) -> Self {
        let (app, uid, ip, channel) = match ban.target {
            Target::Uid { app, uid } => (Some(app), Some(uid), None, None),
            Target::Ip(ip) => (None, None, Some(ip.to_string()), None),
            Target::Channel { app, channel } => (Some(app), None, None, Some(channel)),
        };
        Self {
            id: ban.id,
            app,
            uid,
            ip,
            channel,
            since: ban.since,
            until: ban.until,
            reason: ban.reason,
        }
    }
}

/// List bans
///
/// Those that hold, the oldest first.
#[utoipa::path(get, path = "/api/v1/bans", tag = "bans", params(Paging), responses(
    (status = 200, description = "A page of bans", body = Page<Ban>),
    (status = 400, description = "A parameter cannot be read", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn list_bans(
    AxumState(state): AxumState<State>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Page<Ban>>, ApiError> {
    let Query(paging) = paging?;
    let bans = state.desk.bans.list(SystemTime::now());
    Ok(Json(Page::of(bans, paging).map(Ban::from)))
}

/// Ban a uid, an address or a channel
///
/// Members that it is about are removed at once. A ban of the same target is replaced.
#[utoipa::path(post, path = "/api/v1/bans", tag = "bans", request_body = NewBan, responses(
    (status = 201, description = "The ban", body = Banned),
    (status = 400, description = "The body cannot be read, or names no target", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody),
    (status = 409, description = "There are too many bans", body = ErrorBody),
    (status = 500, description = "It cannot be written down", body = ErrorBody)))]
pub(super) async fn ban(
    AxumState(state): AxumState<State>,
    new: Result<Json<NewBan>, JsonRejection>,
) -> Result<(StatusCode, Json<Banned>), ApiError> {
    let Json(new) = new?;
    let target = new.target()?;
    if new.reason.len() > REASON_MAX || new.seconds == Some(0) {
        return Err(ApiError::bad_target(
            "a ban lasts a second or longer, and its reason has 500 bytes at most",
        ));
    }
    let lasting = new.seconds.map(Duration::from_secs);
    let bans = Arc::clone(&state.desk.bans);
    let made = blocking(move || bans.add(target, lasting, &new.reason, SystemTime::now())).await?;
    let ban = made.map_err(|error| ApiError::not_banned(&error))?;
    let removed = state.signalling.expel(|who| ban.target.hits(who));
    tracing::info!(ban = ban.id, target = ?ban.target, until = ban.until, removed, "banned by the operator");
    let ban = Ban::from(ban);
    Ok((StatusCode::CREATED, Json(Banned { ban, removed })))
}

/// Lift a ban
#[utoipa::path(delete, path = "/api/v1/bans/{id}", tag = "bans",
    params(("id" = u64, Path, description = "The ban's number")),
    responses(
        (status = 204, description = "It is lifted"),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such ban", body = ErrorBody),
        (status = 500, description = "It cannot be written down", body = ErrorBody)))]
pub(super) async fn lift(
    AxumState(state): AxumState<State>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = path?;
    let bans = Arc::clone(&state.desk.bans);
    let lifted = blocking(move || bans.lift(id)).await?;
    let lifted = lifted.map_err(|error| ApiError::store_failed(error.to_string()))?;
    let Some(ban) = lifted else {
        return Err(ApiError::ban_not_found(id));
    };
    tracing::info!(ban = id, target = ?ban.target, "ban lifted by the operator");
    Ok(StatusCode::NO_CONTENT)
}

/// Runs what waits for the disk away from the tasks that move media.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::store_failed(error.to_string()))
}
