//! The admin API of channels: who is in them, and the operator's hand on a member.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as AxumState};
use axum::http::StatusCode;
use lockgate_signalling::report::Heard;
use lockgate_signalling::{AppId, ChannelName, MemberReport};

use super::State;
use super::channels_model::{Channel, ChannelFilter, Joiner, Member};
use super::error::{ApiError, ErrorBody};
use super::model::{GateChange, Page, Paging, Switch};

/// A query, or the error to send for it.
type Parsed<T> = Result<Query<T>, QueryRejection>;

/// An app and a channel, or the error.
type ChannelPath = Result<Path<(String, String)>, PathRejection>;

/// An app, a channel and a uid, or the error.
type MemberPath = Result<Path<(String, String, String)>, PathRejection>;

/// List channels
///
/// In the order of app and name.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", params(ChannelFilter, Paging), responses(
    (status = 200, description = "A page of channels", body = Page<Channel>),
    (status = 400, description = "A parameter cannot be read", body = ErrorBody),
    (status = 401, description = "No token, or a wrong one", body = ErrorBody)))]
pub(super) async fn list_channels(
    AxumState(state): AxumState<State>,
    filter: Parsed<ChannelFilter>,
    paging: Parsed<Paging>,
) -> Result<Json<Page<Channel>>, ApiError> {
    let (Query(filter), Query(paging)) = (filter?, paging?);
    let mut channels = state.signalling.channels();
    channels.retain(|channel| filter.takes(channel));
    channels.sort_by(|a, b| (&a.app, &a.channel).cmp(&(&b.app, &b.channel)));
    Ok(Json(
        Page::of(channels, paging).map(|report| Channel::from(&report)),
    ))
}

/// Show a channel
#[utoipa::path(get, path = "/api/v1/channels/{app}/{channel}", tag = "channels",
    params(("app" = String, Path, description = "Its app"), ("channel" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The channel", body = Channel),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "Nobody is in such a channel", body = ErrorBody)))]
pub(super) async fn show_channel(
    AxumState(state): AxumState<State>,
    path: ChannelPath,
) -> Result<Json<Channel>, ApiError> {
    let Path((app, channel)) = path?;
    match state.signalling.channel(&app, &channel) {
        Some(report) => Ok(Json(Channel::from(&report))),
        None => Err(ApiError::channel_not_found(&app, &channel)),
    }
}

/// List the members of a channel
///
/// In the order in which they came: what the node knows of each, beside what its phone says.
#[utoipa::path(get, path = "/api/v1/channels/{app}/{channel}/members", tag = "channels",
    params(("app" = String, Path, description = "The app"), ("channel" = String, Path, description = "The channel"), Paging),
    responses(
        (status = 200, description = "A page of members", body = Page<Member>),
        (status = 400, description = "A parameter cannot be read", body = ErrorBody),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "Nobody is in such a channel", body = ErrorBody)))]
pub(super) async fn list_members(
    AxumState(state): AxumState<State>,
    path: ChannelPath,
    paging: Parsed<Paging>,
) -> Result<Json<Page<Member>>, ApiError> {
    let (Path((app, channel)), Query(paging)) = (path?, paging?);
    let mut members = members(&state, &app, &channel)?;
    members.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.uid.cmp(&b.uid)));
    let mut joiner = Joiner::new(&state.router, &app, &channel);
    Ok(Json(Page::of(members, paging).map(|report| {
        let mut heard = heard(&state, &app, &channel, &report);
        if let Some(heard) = &mut heard {
            heard.log.clear();
        }
        joiner.member(report, heard)
    })))
}

/// Show a member
///
/// What the node knows of it, beside what its phone says, and the log that its user sent.
#[utoipa::path(get, path = "/api/v1/channels/{app}/{channel}/members/{uid}", tag = "channels",
    params(("app" = String, Path, description = "The app"), ("channel" = String, Path, description = "The channel"),
        ("uid" = String, Path, description = "The member")),
    responses(
        (status = 200, description = "The member", body = Member),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such channel or member", body = ErrorBody)))]
pub(super) async fn show_member(
    AxumState(state): AxumState<State>,
    path: MemberPath,
) -> Result<Json<Member>, ApiError> {
    let Path((app, channel, uid)) = path?;
    member(&state, &app, &channel, &uid)
}

/// Kick a member
///
/// Its session is closed, what it publishes and plays ends. Nothing keeps it from coming back.
#[utoipa::path(post, path = "/api/v1/channels/{app}/{channel}/members/{uid}/kick", tag = "channels",
    params(("app" = String, Path, description = "The app"), ("channel" = String, Path, description = "The channel"),
        ("uid" = String, Path, description = "The member")),
    responses(
        (status = 204, description = "It is removed"),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such channel or member", body = ErrorBody)))]
pub(super) async fn kick_member(
    AxumState(state): AxumState<State>,
    path: MemberPath,
) -> Result<StatusCode, ApiError> {
    let Path((app, channel, uid)) = path?;
    if state.signalling.kick(&app, &channel, &uid) {
        tracing::info!(app, channel, uid, "member kicked by the operator");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::member_not_found(&uid))
    }
}

/// Mute or unmute a member
///
/// Moves the operator's switches on what it publishes, for everybody, now and when it publishes
/// again. What it muted itself stays muted.
#[utoipa::path(patch, path = "/api/v1/channels/{app}/{channel}/members/{uid}/gate", tag = "channels",
    params(("app" = String, Path, description = "The app"), ("channel" = String, Path, description = "The channel"),
        ("uid" = String, Path, description = "The member")),
    request_body = GateChange,
    responses(
        (status = 200, description = "The member as it now is", body = Member),
        (status = 400, description = "The body cannot be read, or names no track", body = ErrorBody),
        (status = 401, description = "No token, or a wrong one", body = ErrorBody),
        (status = 404, description = "No such channel or member", body = ErrorBody)))]
pub(super) async fn mute_member(
    AxumState(state): AxumState<State>,
    path: MemberPath,
    change: Result<Json<GateChange>, JsonRejection>,
) -> Result<Json<Member>, ApiError> {
    let (Path((app, channel, uid)), Json(change)) = (path?, change?);
    if change.audio.is_none() && change.video.is_none() {
        return Err(ApiError::nothing_to_switch());
    }
    let muted = |switch: Option<Switch>| switch.map(|switch| switch == Switch::Closed);
    let (audio, video) = (muted(change.audio), muted(change.video));
    if !state.signalling.mute(&app, &channel, &uid, audio, video) {
        return Err(ApiError::member_not_found(&uid));
    }
    tracing::info!(app, channel, uid, audio = ?change.audio, video = ?change.video, "member's gate switched by the operator");
    member(&state, &app, &channel, &uid)
}

fn member(state: &State, app: &str, channel: &str, uid: &str) -> Result<Json<Member>, ApiError> {
    let members = members(state, app, channel)?;
    let found = members
        .into_iter()
        .find(|member| member.uid.as_str() == uid);
    let report = found.ok_or_else(|| ApiError::member_not_found(uid))?;
    let heard = heard(state, app, channel, &report);
    let mut joiner = Joiner::new(&state.router, app, channel);
    Ok(Json(joiner.member(report, heard)))
}

fn members(state: &State, app: &str, channel: &str) -> Result<Vec<MemberReport>, ApiError> {
    let members = state.signalling.members(app, channel);
    members
        .filter(|members| !members.is_empty())
        .ok_or_else(|| ApiError::channel_not_found(app, channel))
}

fn heard(state: &State, app: &str, channel: &str, member: &MemberReport) -> Option<Heard> {
    let channel = ChannelName::parse(channel)?;
    let reports = &state.desk.reports;
    reports.last(&AppId::of_config(app), &channel, &member.uid)
}
