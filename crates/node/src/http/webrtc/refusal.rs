//! Why an offer was not answered, as the API's errors put it.

use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use lockgate_egress::whep::PlayError;
use lockgate_ingest::whip::WhipError;
use lockgate_routing::{PublishError, Refusal};

use super::super::error::ApiError;

impl From<PlayError> for ApiError {
    fn from(error: PlayError) -> Self {
        let text = error.to_string();
        match error {
            PlayError::Refused(refusal) => Self::refused(refusal, text),
            PlayError::Full(_) => Self::no_room(error.label()),
            PlayError::NotFound(_) => Self::not_published(text),
            PlayError::Offer(lockgate_rtc::OfferError::Bad(_)) => Self::bad_sdp(text),
            PlayError::BFrames => Self::b_frames(text),
            PlayError::Kicked => Self::no_room("kicked"),
            _ => Self::no_common_codec(text),
        }
    }
}

impl From<WhipError> for ApiError {
    fn from(error: WhipError) -> Self {
        let text = error.to_string();
        match error {
            WhipError::Refused(refusal) => Self::refused(refusal, text),
            WhipError::Taken(PublishError::Busy) => Self::busy(text),
            WhipError::Taken(_) => Self::no_room(error.label()),
            WhipError::Offer(lockgate_rtc::OfferError::Bad(_)) => Self::bad_sdp(text),
            _ => Self::no_common_codec(text),
        }
    }
}

impl ApiError {
    pub(in crate::http) fn busy(text: String) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "busy",
            text,
            "pick another name, or set ingest.conflict = \"replace\" in the node's config",
        )
    }

    pub(in crate::http) fn webrtc_off() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "webrtc_off",
            "this node has no WebRTC",
            "set webrtc.listen in the node's config",
        )
    }

    pub(in crate::http) fn wrong_type(expected: &'static str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_type",
            format!("the body is not {expected}"),
            "say what the body is in Content-Type",
        )
    }

    pub(in crate::http) fn session_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "session_not_found",
            "there is no such session; it may have just ended",
            "post another offer",
        )
    }

    pub(in crate::http) fn bad_sdp(text: String) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_sdp",
            text,
            "post what RTCPeerConnection.createOffer gave",
        )
    }

    pub(in crate::http) fn no_room(limit: &'static str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            limit,
            "this node has no room for another session now",
            "try again later, or raise the limit that the code names",
        )
    }

    pub(in crate::http) fn not_published(text: String) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "stream_not_found",
            text,
            "GET /api/v1/streams lists those that are",
        )
    }

    pub(in crate::http) fn no_common_codec(text: String) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "no_common_codec",
            text,
            "play it by RTMP or FLV",
        )
    }

    pub(in crate::http) fn b_frames(text: String) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "b_frames",
            text,
            "encode without B-frames, or play it by RTMP or FLV",
        )
    }

    pub(in crate::http) fn refused(refusal: Refusal, text: String) -> Self {
        let status = match refusal {
            Refusal::UnknownApp | Refusal::BadName => StatusCode::NOT_FOUND,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::new(
            status,
            refusal.label(),
            text,
            "send the key as ?key=… or as Authorization: Bearer …, or ask for a new URL",
        )
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(
            rejection.status(),
            "bad_body",
            rejection.body_text(),
            "send an SDP offer of at most 64 KiB",
        )
    }
}
