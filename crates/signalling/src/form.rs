//! What a media URL is for: our addition, in `Subscribe` and `Publish`.
//!
//! The form is of the URL alone: the publication or subscription behind it, and its gate, are the same.

/// What a pull URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum PullForm {
    /// RTMP, as deployed clients expect.
    #[default]
    Rtmp,
    /// FLV over HTTP.
    HttpFlv,
    /// FLV over WebSocket.
    WsFlv,
    /// WebRTC: where a player's offer is posted (draft-ietf-wish-whep).
    Whep,
}

/// What a push URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum PushForm {
    /// RTMP, as deployed clients expect.
    #[default]
    Rtmp,
    /// WebRTC: where a publisher's offer is posted (RFC 9725).
    Whip,
}

impl PullForm {
    /// By its name on the wire.
    pub(crate) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "rtmp" => Self::Rtmp,
            "http-flv" => Self::HttpFlv,
            "ws-flv" => Self::WsFlv,
            "whep" => Self::Whep,
            _ => return None,
        })
    }
}

impl PushForm {
    /// By its name on the wire.
    pub(crate) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "rtmp" => Self::Rtmp,
            "whip" => Self::Whip,
            _ => return None,
        })
    }
}
