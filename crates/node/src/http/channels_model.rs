//! What the API says about channels: what the node knows of a member beside what its phone says.

use std::collections::{BTreeMap, HashMap};

use lockgate_routing::{Router, StreamId, StreamReport};
use lockgate_signalling::members::{PublicationReport, SubscriptionReport};
use lockgate_signalling::report::{Heard, Side};
use lockgate_signalling::{ChannelReport, MemberReport};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::{Player, Publisher, Switch};

/// Which channels to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChannelFilter {
    /// Only those of this app.
    app: Option<String>,
}

impl ChannelFilter {
    pub(super) fn takes(&self, channel: &ChannelReport) -> bool {
        let app = self.app.as_deref();
        app.is_none_or(|app| app == channel.app.as_str())
    }
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channel {
    /// Its app.
    app: String,
    /// Its name.
    channel: String,
    /// How long there has been somebody in it.
    age_seconds: f64,
    /// How many are in it; its members have a list of their own.
    members: usize,
    /// How many of them publish.
    publications: usize,
}

/// A member of a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Member {
    /// Its uid.
    uid: String,
    /// Its address.
    ip: String,
    /// What its SDK calls itself.
    sdk: String,
    /// How long it has been in the channel.
    age_seconds: f64,
    /// Whether its WebSocket is open; when not, its grace runs.
    connected: bool,
    /// `host` or `audience`.
    role: &'static str,
    /// What it publishes.
    publication: Option<Publication>,
    /// What it subscribes to.
    subscriptions: Vec<Subscription>,
    /// Since when it has reported nothing; null if it never has.
    report_age_seconds: Option<f64>,
    /// The log that its user sent, its newest lines; told of a single member only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
}

/// What a member publishes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Publication {
    /// The stream's name in the app, as the streams' paths take it.
    stream: String,
    /// Whether its media has arrived and the others were told.
    live: bool,
    /// What the others hear, all mutes taken together.
    audio: Switch,
    /// What they see.
    video: Switch,
    /// The operator's switch for audio.
    operator_audio: Switch,
    /// The operator's switch for video.
    operator_video: Switch,
    /// What the node gets.
    publisher: Option<Publisher>,
    /// What the phone says of its `live-pusher`.
    reported: Option<Component>,
}

/// What a member subscribes to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscription {
    /// To whom.
    uid: String,
    /// Its own switch for audio.
    audio: Switch,
    /// Its own switch for video.
    video: Switch,
    /// What the node sends.
    player: Option<Player>,
    /// What the phone says of its `live-player`.
    reported: Option<Component>,
}

/// What a phone says of a component.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Component {
    /// How long ago.
    age_seconds: f64,
    /// The code of its last state change; negative for errors.
    code: Option<i64>,
    /// What it says that the code means.
    message: Option<String>,
    /// How often it stalled.
    stalls: u64,
    /// How often it failed.
    errors: u64,
    /// Its last `netstatus`, under the component's own names.
    net: BTreeMap<String, f64>,
}

impl From<&ChannelReport> for Channel {
    fn from(report: &ChannelReport) -> Self {
        Self {
            app: report.app.to_string(),
            channel: report.channel.to_string(),
            age_seconds: report.age.as_secs_f64(),
            members: report.members,
            publications: report.publications,
        }
    }
}

fn switch(closed: bool) -> Switch {
    if closed { Switch::Closed } else { Switch::Open }
}

impl Component {
    fn new(side: &Side) -> Self {
        Self {
            age_seconds: side.at.elapsed().as_secs_f64(),
            code: side.state.as_ref().map(|state| state.code),
            message: side.state.as_ref().map(|state| state.message.clone()),
            stalls: side.stalls,
            errors: side.errors,
            net: side.net.clone(),
        }
    }
}

/// Joins members to the streams that they publish and play; asks for each stream once.
pub(super) struct Joiner<'a> {
    router: &'a Router,
    app: &'a str,
    channel: &'a str,
    streams: HashMap<StreamId, Option<StreamReport>>,
}

impl<'a> Joiner<'a> {
    pub(super) fn new(router: &'a Router, app: &'a str, channel: &'a str) -> Self {
        Self {
            router,
            app,
            channel,
            streams: HashMap::new(),
        }
    }

    /// One member, from both ends.
    pub(super) fn member(&mut self, report: MemberReport, heard: Option<Heard>) -> Member {
        let (publication, subscriptions) = (report.publication, report.subscriptions);
        Member {
            publication: publication.map(|it| self.publication(&it, heard.as_ref())),
            subscriptions: subscriptions
                .into_iter()
                .map(|it| self.subscription(&it, heard.as_ref()))
                .collect(),
            uid: report.uid.to_string(),
            ip: report.ip.to_string(),
            sdk: report.sdk,
            age_seconds: report.since.as_secs_f64(),
            connected: report.connected,
            role: report.role,
            report_age_seconds: heard.as_ref().map(|it| it.at.elapsed().as_secs_f64()),
            log: heard.map(|heard| heard.log).unwrap_or_default(),
        }
    }

    fn publication(&mut self, report: &PublicationReport, heard: Option<&Heard>) -> Publication {
        let (audio, video) = report.muted_by_operator;
        Publication {
            stream: report.stream.name().to_owned(),
            live: report.begun,
            audio: switch(!report.audio),
            video: switch(!report.video),
            operator_audio: switch(audio),
            operator_video: switch(video),
            publisher: self.stream(&report.stream).and_then(Publisher::of),
            reported: heard
                .and_then(|heard| heard.pusher.as_ref())
                .map(Component::new),
        }
    }

    fn subscription(&mut self, report: &SubscriptionReport, heard: Option<&Heard>) -> Subscription {
        let name = format!("{}/{}", self.channel, report.uid);
        let stream = StreamId::new(self.app, &name).ok();
        let stream = stream.and_then(|stream| self.stream(&stream));
        let player = stream.zip(report.player).and_then(|(stream, number)| {
            let mut players = stream.players.iter();
            let player = players.find(|player| player.connection == number)?;
            Some(Player::new(stream, player))
        });
        Subscription {
            uid: report.uid.to_string(),
            audio: switch(report.audio_muted),
            video: switch(report.video_muted),
            player,
            reported: heard
                .and_then(|heard| heard.players.get(&report.uid))
                .map(Component::new),
        }
    }

    fn stream(&mut self, id: &StreamId) -> Option<&StreamReport> {
        let report = self.streams.entry(id.clone());
        report.or_insert_with(|| self.router.stream(id)).as_ref()
    }
}
