//! The admin API: what is live, and the operator's eye and hand on it.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as AxumState};
use axum::http::StatusCode;
use lockgate_media::Track;
use lockgate_routing::StreamReport;

use super::State;
use super::error::{ApiError, ErrorBody};
use super::model::{Filter, GateChange, Page, Paging, Player, Publisher, Stream, Switch, Ticket};
use crate::tickets;

/// A query, or the error to send for it.
type Parsed<T> = Result<Query<T>, QueryRejection>;

/// List streams
///
/// In the order of app and name.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", params(Filter, Paging), responses(
    (status = 200, description = "A page of streams", body = Page<Stream>),
    (status = 400, description = "A parameter cannot be read", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn list_streams(
    AxumState(state): AxumState<State>,
    filter: Parsed<Filter>,
    paging: Parsed<Paging>,
) -> Result<Json<Page<Stream>>, ApiError> {
    let (Query(filter), Query(paging)) = (filter?, paging?);
    let mut reports = state.router.streams();
    reports.retain(|report| filter.takes(report));
    reports.sort_by(|a, b| (&a.app, &a.name).cmp(&(&b.app, &b.name)));
    Ok(Json(
        Page::of(reports, paging).map(|report| Stream::from(&report)),
    ))
}

/// Show a stream
#[utoipa::path(get, path = "/api/v1/streams/{app}/{name}", tag = "streams",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The stream", body = Stream),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such stream", body = ErrorBody)))]
pub(super) async fn show_stream(
    AxumState(state): AxumState<State>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Stream>, ApiError> {
    let Path((app, name)) = path?;
    let id = lockgate_routing::StreamId::new(&app, &name).ok();
    let report = id.and_then(|id| state.router.stream(&id));
    match report {
        Some(report) => Ok(Json(Stream::from(&report))),
        None => Err(ApiError::stream_not_found(&app, &name)),
    }
}

/// Get a ticket to watch a stream
///
/// Its query, added to the URL of the stream by its name, plays it whatever its app asks players
/// for. Good for joining that stream within a minute.
#[utoipa::path(post, path = "/api/v1/streams/{app}/{name}/ticket", tag = "control",
    params(("app" = String, Path, description = "Its app"), ("name" = String, Path, description = "Its name")),
    responses(
        (status = 201, description = "The ticket", body = Ticket),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such stream", body = ErrorBody)))]
pub(super) async fn watch(
    AxumState(state): AxumState<State>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let Path((app, name)) = path?;
    let id = lockgate_routing::StreamId::new(&app, &name).ok();
    if id.and_then(|id| state.router.stream(&id)).is_none() {
        return Err(ApiError::stream_not_found(&app, &name));
    }
    let ticket = state.tickets.issue(&app, &name, SystemTime::now());
    tracing::info!(app, name, "ticket to watch issued to the operator");
    let ticket = Ticket {
        query: format!("{}={ticket}", tickets::PARAMETER),
        seconds: tickets::VALID.as_secs(),
    };
    Ok((StatusCode::CREATED, Json(ticket)))
}

/// List publishers
///
/// In the order in which they came.
#[utoipa::path(get, path = "/api/v1/publishers", tag = "streams", params(Filter, Paging), responses(
    (status = 200, description = "A page of publishers", body = Page<Publisher>),
    (status = 400, description = "A parameter cannot be read", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn list_publishers(
    AxumState(state): AxumState<State>,
    filter: Parsed<Filter>,
    paging: Parsed<Paging>,
) -> Result<Json<Page<Publisher>>, ApiError> {
    let (Query(filter), Query(paging)) = (filter?, paging?);
    let reports = state.router.streams();
    let reports = reports.iter().filter(|report| filter.takes(report));
    let mut publishers: Vec<_> = reports.filter_map(Publisher::of).collect();
    publishers.sort_by_key(Publisher::connection);
    Ok(Json(Page::of(publishers, paging)))
}

/// List players
///
/// In the order in which they came.
#[utoipa::path(get, path = "/api/v1/players", tag = "streams", params(Filter, Paging), responses(
    (status = 200, description = "A page of players", body = Page<Player>),
    (status = 400, description = "A parameter cannot be read", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn list_players(
    AxumState(state): AxumState<State>,
    filter: Parsed<Filter>,
    paging: Parsed<Paging>,
) -> Result<Json<Page<Player>>, ApiError> {
    let (Query(filter), Query(paging)) = (filter?, paging?);
    let reports = state.router.streams();
    let mut players: Vec<_> = reports
        .iter()
        .filter(|report| filter.takes(report))
        .flat_map(|report| report.players.iter().map(move |player| (report, player)))
        .collect();
    players.sort_by_key(|(_, player)| player.connection);
    Ok(Json(
        Page::of(players, paging).map(|(report, player)| Player::new(report, player)),
    ))
}

/// Kick a publisher or a player
///
/// It is told and disconnected. Nothing keeps it from coming back.
#[utoipa::path(delete, path = "/api/v1/connections/{id}", tag = "control",
    params(("id" = u64, Path, description = "The connection's number")),
    responses(
        (status = 204, description = "It is being disconnected"),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such connection", body = ErrorBody)))]
pub(super) async fn kick(
    AxumState(state): AxumState<State>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = path?;
    if state.router.kick(id) {
        tracing::info!(connection = id, "kicked by the operator");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::connection_not_found(id))
    }
}

/// Mute or unmute a player
///
/// Moves the operator's switches on the player's gate. What the player itself or its publisher
/// closed stays closed.
#[utoipa::path(patch, path = "/api/v1/players/{id}/gate", tag = "control",
    params(("id" = u64, Path, description = "The player's connection")),
    request_body = GateChange,
    responses(
        (status = 200, description = "The player as it now is", body = Player),
        (status = 400, description = "The body cannot be read, or names no track", body = ErrorBody),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such player", body = ErrorBody)))]
pub(super) async fn switch_gate(
    AxumState(state): AxumState<State>,
    path: Result<Path<u64>, PathRejection>,
    change: Result<Json<GateChange>, JsonRejection>,
) -> Result<Json<Player>, ApiError> {
    let (Path(id), Json(change)) = (path?, change?);
    let switches = [(Track::Audio, change.audio), (Track::Video, change.video)];
    if switches.iter().all(|(_, switch)| switch.is_none()) {
        return Err(ApiError::nothing_to_switch());
    }
    for (track, switch) in switches {
        let Some(switch) = switch else { continue };
        if !state.router.switch(id, track, switch == Switch::Closed) {
            return Err(ApiError::player_not_found(id));
        }
    }
    tracing::info!(connection = id, audio = ?change.audio, video = ?change.video, "gate switched by the operator");
    let reports = state.router.streams();
    find(&reports, id)
        .map(Json)
        .ok_or_else(|| ApiError::player_not_found(id))
}

fn find(reports: &[StreamReport], id: u64) -> Option<Player> {
    reports.iter().find_map(|report| {
        let player = report
            .players
            .iter()
            .find(|player| player.connection == id)?;
        Some(Player::new(report, player))
    })
}
