use super::*;
use crate::config::Config;
use crate::id::{ConnectionId, Origin, StreamId};
use crate::publication::Publication;
use crate::router::Router;
use bytes::Bytes;
use prometheus::Registry;

const HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 1];
const DELTA: &[u8] = &[0x27, 1, 0, 0, 0, 1];
const SOUND: &[u8] = &[0xaf, 1, 0x21];
const SOUND_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];

struct Live {
    router: Arc<Router>,
    publication: Publication,
    player: Subscription,
    start: Instant,
}

fn origin(protocol: &'static str) -> Origin {
    Origin {
        connection: ConnectionId::next(),
        protocol,
        peer: "127.0.0.1:1".parse().unwrap(),
    }
}

fn live() -> Live {
    let router = Router::new(Config::default(), &Registry::new()).unwrap();
    let grant = StreamId::new("live", "a").unwrap().into();
    let publication = router.publish(&grant, origin("rtmp")).unwrap();
    let player = router.subscribe(&grant, origin("whep")).unwrap();
    Live {
        router,
        publication,
        player,
        start: Instant::now(),
    }
}

impl Live {
    fn push(&mut self, track: Track, at: u32, body: &'static [u8]) {
        let received = self.start + Duration::from_millis(at.into());
        let body = Bytes::from_static(body);
        self.publication.push(track, at, body, received).unwrap();
        self.publication.flush();
    }

    fn gop(&mut self) {
        self.push(Track::Video, 0, HEADER);
        self.push(Track::Audio, 0, SOUND_HEADER);
        for (at, body) in [(0, KEY), (40, DELTA), (80, DELTA)] {
            self.push(Track::Video, at, body);
            self.push(Track::Audio, at, SOUND);
        }
    }
}

fn frames(reader: &mut Reader, place: &mut Place) -> Vec<(Track, u64)> {
    let mut frames = Vec::new();
    while let Some(step) = reader.next(place) {
        if step.packet.is_frame() {
            frames.push((step.packet.track(), step.packet.timestamp()));
        }
    }
    frames
}

fn video(reader: &mut Reader, place: &mut Place) -> Vec<u64> {
    let frames = frames(reader, place);
    let video = frames.iter().filter(|(track, _)| *track == Track::Video);
    video.map(|&(_, at)| at).collect()
}

#[tokio::test]
async fn who_joins_gets_the_gop_and_then_what_comes() {
    let mut live = live();
    live.gop();
    let mut reader = live.player.reader();
    let mut place = reader.join(&live.player);
    assert!(place.is_in_backlog());
    assert_eq!(video(&mut reader, &mut place), [0, 40, 80]);
    assert!(!place.is_in_backlog());
    live.push(Track::Video, 120, DELTA);
    reader.changed().await;
    reader.refresh();
    assert_eq!(video(&mut reader, &mut place), [120]);
}

#[tokio::test]
async fn switches_act_on_the_next_packet_and_opening_shows_a_picture_at_once() {
    let mut live = live();
    live.gop();
    let mut reader = live.player.reader();
    let mut place = reader.join(&live.player);
    frames(&mut reader, &mut place);
    let number = live.player.origin().connection.get();
    assert!(live.router.switch(number, Track::Video, true));
    assert!(live.router.switch(number, Track::Audio, true));
    reader.changed().await;
    assert!(reader.prepare(&live.player, &mut place));
    live.push(Track::Video, 120, DELTA);
    live.push(Track::Audio, 120, SOUND);
    reader.refresh();
    let mut silent = 0;
    while let Some(step) = reader.next(&mut place) {
        assert_eq!(step.packet.track(), Track::Audio);
        let original = step.seq.and_then(|seq| reader.view().get(seq)).unwrap();
        silent += usize::from(!Arc::ptr_eq(original, &step.packet));
    }
    assert_eq!(silent, 1, "silence stands in for sound");
    live.router.switch(number, Track::Video, false);
    assert!(reader.prepare(&live.player, &mut place));
    assert!(place.is_in_backlog());
    assert_eq!(video(&mut reader, &mut place), [120]);
}

#[tokio::test]
async fn a_starved_player_waits_for_the_next_keyframe_and_its_sound_goes_on() {
    let mut live = live();
    live.gop();
    let mut reader = live.player.reader();
    let mut place = reader.join(&live.player);
    frames(&mut reader, &mut place);
    reader.starve(&live.player, &mut place);
    live.push(Track::Video, 120, DELTA);
    live.push(Track::Audio, 120, SOUND);
    live.push(Track::Video, 160, KEY);
    live.push(Track::Video, 200, DELTA);
    reader.refresh();
    assert_eq!(
        frames(&mut reader, &mut place),
        [
            (Track::Audio, 120),
            (Track::Video, 160),
            (Track::Video, 200)
        ]
    );
    let report = live.router.stream(live.player.stream()).unwrap();
    assert_eq!(report.players[0].skips, 1);
}

#[tokio::test]
async fn a_broken_picture_is_mended_from_the_gop_unless_the_publisher_can_be_asked() {
    let mut live = live();
    live.gop();
    let mut reader = live.player.reader();
    let mut place = reader.join(&live.player);
    frames(&mut reader, &mut place);
    assert!(reader.mend(&mut place));
    assert_eq!(video(&mut reader, &mut place).len(), 3);
    let wanted = live.publication.keyframe_wanted();
    assert!(!reader.mend(&mut place), "one will come");
    wanted.await;
}

#[tokio::test]
async fn the_end_is_told_once_the_last_packets_are_there() {
    let mut live = live();
    let reader = live.player.reader();
    live.gop();
    assert!(reader.ended().is_none());
    live.router.shutdown().await;
    reader.changed().await;
    assert!(matches!(reader.ended(), Some(End::Shutdown)));
    // Who begins to read a stream that is over learns it too.
    assert!(live.player.reader().ended().is_some());
}
