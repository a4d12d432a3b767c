//! The wire: envelopes, what clients ask in them, and what they are told.
//!
//! Lenient in what it takes, exact in what it gives: `Content` is always a JSON document, for clients
//! parse it before they look at anything else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::Code;
use crate::form::{PullForm, PushForm};
use crate::names::{ChannelName, NotUid, Uid};
use crate::transport::Text;

#[cfg(test)]
mod tests;

/// The longest `UserSId` that is kept.
const SID_MAX: usize = 128;

/// The longest `SdkVer` that is kept.
const SDK_MAX: usize = 64;

/// What a frame holds.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) cmd: String,
    pub(crate) app: Option<String>,
    content: Content,
}

/// What `Content` holds.
#[derive(Debug)]
enum Content {
    Document(Value),
    NotJson,
}

#[derive(Deserialize)]
struct RawEnvelope {
    #[serde(rename = "Cmd")]
    cmd: String,
    #[serde(rename = "AppId", default)]
    app: Value,
    #[serde(rename = "Encrypt", default)]
    encrypt: Value,
    #[serde(rename = "Content", default)]
    content: Value,
}

/// Both halves of what a `mute` says: `true` is muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Mutes {
    pub(crate) audio: bool,
    pub(crate) video: bool,
}

/// What a publication holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Target {
    #[default]
    All,
    Audio,
    Video,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Role {
    #[default]
    Host,
    Audience,
}

/// What our own clients say they understand beyond the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Caps {
    /// `TokenWillExpire` and `TokenExpired`.
    pub(crate) token_events: bool,
}

/// What a client logs in with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) channel: ChannelName,
    /// `None`: the node picks one.
    pub(crate) uid: Option<Uid>,
    /// The name of this session, by which it comes back; empty: it does not.
    pub(crate) sid: String,
    pub(crate) sdk: String,
    pub(crate) token: String,
    pub(crate) caps: Caps,
}

/// What a client asks.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Login(Box<Login>),
    KeepAlive,
    SetRole(Role),
    Publish(Target, PushForm),
    UnPublish,
    Subscribe(Uid, PullForm),
    UnSubscribe(Uid),
    MuteRemote(Uid, Mutes),
    MuteLocal(Mutes),
    Logout,
    RenewToken(String),
    Report(Value),
}

impl Envelope {
    /// Reads a frame; `None` when it is no envelope.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let raw: RawEnvelope = serde_json::from_str(text).ok()?;
        let content = match raw.content {
            // What is encrypted cannot be read here.
            _ if raw.encrypt == Value::Bool(true) => Content::NotJson,
            Value::Null => Content::Document(Value::Null),
            Value::String(text) if text.trim().is_empty() => Content::Document(Value::Null),
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(document) => Content::Document(document),
                Err(_) => Content::NotJson,
            },
            document => Content::Document(document),
        };
        let app = match raw.app {
            Value::String(app) => Some(app),
            Value::Number(app) => Some(app.to_string()),
            _ => None,
        };
        Some(Self {
            cmd: raw.cmd,
            app,
            content,
        })
    }

    /// What it asks, in the types that the protocol gives it.
    ///
    /// # Errors
    /// The code to answer with.
    pub(crate) fn request(&mut self) -> Result<Request, Code> {
        let content = match &mut self.content {
            Content::Document(content) => content,
            Content::NotJson => return Err(Code::Malformed),
        };
        Ok(match self.cmd.as_str() {
            "KeepAlive" => Request::KeepAlive,
            "Login" => Request::Login(Box::new(login(content)?)),
            "SetRole" => Request::SetRole(role(content)?),
            "Publish" => Request::Publish(target(content)?, form(content, PushForm::read)?),
            "UnPublish" => Request::UnPublish,
            "Subscribe" => Request::Subscribe(user(content)?, form(content, PullForm::read)?),
            "UnSubscribe" => Request::UnSubscribe(user(content)?),
            "MuteRemoteStream" => Request::MuteRemote(user(content)?, mutes(content)?),
            "MuteLocalStream" => Request::MuteLocal(mutes(content)?),
            "Logout" => Request::Logout,
            "RenewToken" => Request::RenewToken(text(content, "AcsToken").unwrap_or_default()),
            "Report" => Request::Report(content.take()),
            _ => return Err(Code::Malformed),
        })
    }

    /// The user that a request names, to be named in a refusal of it too.
    pub(crate) fn user(&self) -> Option<Uid> {
        match &self.content {
            Content::Document(content) => user(content).ok(),
            Content::NotJson => None,
        }
    }
}

fn text(content: &Value, name: &str) -> Option<String> {
    match content.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn user(content: &Value) -> Result<Uid, Code> {
    Uid::from_json(content.get("UserId")).map_err(|_| Code::Malformed)
}

fn mutes(content: &Value) -> Result<Mutes, Code> {
    let flag = |name| {
        let value = content.get(name).and_then(Value::as_bool);
        value.ok_or(Code::Malformed)
    };
    Ok(Mutes {
        audio: flag("MuteAudio")?,
        video: flag("MuteVideo")?,
    })
}

fn role(content: &Value) -> Result<Role, Code> {
    match content.get("Role").and_then(Value::as_str) {
        Some(role) if role.eq_ignore_ascii_case("host") => Ok(Role::Host),
        Some(role) if role.eq_ignore_ascii_case("broadcaster") => Ok(Role::Host),
        Some(role) if role.eq_ignore_ascii_case("audience") => Ok(Role::Audience),
        _ => Err(Code::Malformed),
    }
}

fn target(content: &Value) -> Result<Target, Code> {
    match content.get("Target") {
        None | Some(Value::Null) => Ok(Target::All),
        Some(Value::String(target)) => match target.as_str() {
            "all" | "" => Ok(Target::All),
            "audio" => Ok(Target::Audio),
            "video" => Ok(Target::Video),
            _ => Err(Code::Malformed),
        },
        Some(_) => Err(Code::Malformed),
    }
}

fn form<F: Default>(content: &Value, read: fn(&str) -> Option<F>) -> Result<F, Code> {
    match content.get("Form") {
        None | Some(Value::Null) => Ok(F::default()),
        Some(Value::String(form)) if form.is_empty() => Ok(F::default()),
        Some(Value::String(form)) => read(form).ok_or(Code::Malformed),
        Some(_) => Err(Code::Malformed),
    }
}

fn login(content: &Value) -> Result<Login, Code> {
    let channel = text(content, "ChanId").ok_or(Code::Malformed)?;
    let channel = ChannelName::parse(&channel).ok_or(Code::DeveloperInvalid)?;
    let uid = match Uid::from_json(content.get("UserId")) {
        Ok(uid) => Some(uid),
        Err(NotUid::Absent) => None,
        Err(NotUid::Invalid) => return Err(Code::DeveloperInvalid),
    };
    let sid = text(content, "UserSId").unwrap_or_default();
    if sid.len() > SID_MAX {
        return Err(Code::Malformed);
    }
    let has_cap = |name: &str| {
        let caps = content.get("Caps").and_then(Value::as_array);
        caps.is_some_and(|caps| caps.iter().any(|cap| cap == name))
    };
    let sdk = text(content, "SdkVer").unwrap_or_default();
    Ok(Login {
        channel,
        uid,
        sid,
        sdk: sdk
            .chars()
            .take(SDK_MAX)
            .filter(|c| !c.is_control())
            .collect(),
        token: text(content, "AcsToken").unwrap_or_default(),
        caps: Caps {
            token_events: has_cap("token-events"),
        },
    })
}

/// A frame to a client.
#[derive(Serialize)]
struct Out<'a> {
    #[serde(rename = "Cmd")]
    cmd: &'a str,
    #[serde(rename = "Content")]
    content: &'a str,
}

/// The content of answers: what is `None` is left out.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Answer<'a> {
    #[serde(serialize_with = "code_or_ok")]
    pub(crate) code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<&'a Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg: Option<&'static str>,
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn code_or_ok<S: serde::Serializer>(code: &Option<Code>, to: S) -> Result<S::Ok, S::Error> {
    code.unwrap_or(Code::Ok).serialize(to)
}

impl Answer<'_> {
    /// A refusal, with its reason.
    pub(crate) fn refusal(code: Code) -> Self {
        Self {
            code: Some(code),
            msg: Some(code.reason()),
            ..Self::default()
        }
    }

    /// As the answer to `cmd`.
    pub(crate) fn to(&self, cmd: &str) -> Text {
        frame(cmd, self)
    }
}

/// What a member is told of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Notice {
    Added(Uid),
    Removed(Uid),
    Audio(Uid, bool),
    Video(Uid, bool),
}

impl Notice {
    /// Whom it is about.
    pub(crate) fn about(&self) -> &Uid {
        match self {
            Self::Added(uid) | Self::Removed(uid) | Self::Audio(uid, _) | Self::Video(uid, _) => {
                uid
            }
        }
    }

    /// As a frame to the members of `channel`.
    pub(crate) fn text(&self, channel: &ChannelName) -> Text {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Content<'a> {
            chan_id: &'a ChannelName,
            user_id: &'a Uid,
            #[serde(skip_serializing_if = "Option::is_none")]
            audio: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            video: Option<bool>,
        }
        let (cmd, audio, video) = match self {
            Self::Added(_) => ("StreamAdded", None, None),
            Self::Removed(_) => ("StreamRemove", None, None),
            Self::Audio(_, on) => ("UserAudStatus", Some(*on), None),
            Self::Video(_, on) => ("UserVidStatus", None, Some(*on)),
        };
        let content = Content {
            chan_id: channel,
            user_id: self.about(),
            audio,
            video,
        };
        frame(cmd, &content)
    }
}

/// Our additions about tokens: the session's join privilege ends `seconds` from now, or has ended.
pub(crate) fn token_notice(cmd: &str, channel: &ChannelName, seconds: u64) -> Text {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Content<'a> {
        chan_id: &'a ChannelName,
        seconds: u64,
    }
    let content = Content {
        chan_id: channel,
        seconds,
    };
    frame(cmd, &content)
}

fn frame(cmd: &str, content: &impl Serialize) -> Text {
    // These types have a JSON form, so neither can fail; an empty object would still parse.
    let content = serde_json::to_string(content).unwrap_or_else(|_| "{}".to_owned());
    let out = Out {
        cmd,
        content: &content,
    };
    Text::from(serde_json::to_string(&out).unwrap_or_default())
}
