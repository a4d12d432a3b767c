//! Mutes of players on the server, through the node's API.
//!
//! Players are taken in the order in which they came, so who is muted does not depend on chance.

use std::net::SocketAddr;

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;

/// Players of one answer: the most that the API sends.
const PAGE: usize = 1000;

/// Who is to be muted.
#[derive(Debug, Clone, Copy)]
pub struct Mutes {
    /// The node's HTTP listener.
    pub api: SocketAddr,
    /// Percent of players whose audio is muted.
    pub audio: u8,
    /// Percent of players whose video is muted: others than those, as long as there are any.
    pub video: u8,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Player>,
}

#[derive(Debug, Deserialize)]
struct Player {
    connection: u64,
}

/// Mutes players one after the other.
///
/// # Errors
/// When the API cannot be reached or refuses.
pub(crate) fn mute(mutes: &Mutes) -> anyhow::Result<()> {
    let agent = ureq::Agent::new_with_defaults();
    let api = format!("http://{}/api/v1/players", mutes.api);
    let mut players = Vec::new();
    loop {
        let url = format!("{api}?limit={PAGE}&offset={}", players.len());
        let mut answer = agent.get(&url).call().context("listing players")?;
        let page: Page = answer.body_mut().read_json().context("listing players")?;
        let last = page.items.len() < PAGE;
        players.extend(page.items.into_iter().map(|player| player.connection));
        if last {
            break;
        }
    }
    for (player, track) in players.into_iter().zip(mutes.tracks()) {
        let Some(track) = track else {
            continue;
        };
        let gate = json!({ track: "closed" });
        let asked = agent
            .patch(format!("{api}/{player}/gate"))
            .send_json(&gate)
            .with_context(|| format!("muting player {player}"))?;
        // An answer that is not read to its end keeps its connection from being used again.
        asked.into_body().read_to_vec().context("muting")?;
    }
    Ok(())
}

impl Mutes {
    /// What is muted of each player in turn, spread evenly.
    fn tracks(self) -> impl Iterator<Item = Option<&'static str>> {
        let turns = |at: usize, percent: u8| at * usize::from(percent.min(100)) / 100;
        (0..).map(move |at| {
            let both = self.audio.saturating_add(self.video);
            if turns(at + 1, self.audio) > turns(at, self.audio) {
                Some("audio")
            } else if turns(at + 1, both) > turns(at, both) {
                Some("video")
            } else {
                None
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_audio_and_a_quarter_of_the_video_are_of_different_players() {
        let mutes = Mutes {
            api: ([127, 0, 0, 1], 1).into(),
            audio: 50,
            video: 25,
        };
        let tracks: Vec<_> = mutes.tracks().take(2500).collect();
        let count = |wanted| tracks.iter().filter(|track| **track == wanted).count();
        assert_eq!(count(Some("audio")), 1250);
        assert_eq!(count(Some("video")), 625);
        assert_eq!(count(None), 625);
    }
}
