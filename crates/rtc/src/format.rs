//! What the packets of a line carry, and how that is offered and answered in SDP.

use str0m::RtcConfig;
use str0m::format::{Codec, CodecSpec};
use str0m::media::Pt;

/// What the packets of one payload type carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Opus.
    Opus,
    /// H.264 in packetization mode 1, with the `profile-level-id` where one is named.
    H264(Option<u32>),
    /// H.265 of this `profile-id`: 1 is Main, 2 is Main 10.
    H265(u8),
    /// VP9 of this profile.
    Vp9(u8),
    /// AV1 of this profile.
    Av1(u8),
}

/// Level 6.0 of H.265: what a decoder must cope with at most.
const H265_LEVEL: u8 = 180;

impl Format {
    /// What a payload type was agreed on for; `None` for what is not carried here.
    pub(crate) fn of(spec: &CodecSpec) -> Option<Self> {
        let format = &spec.format;
        let profile = |id: Option<u32>| u8::try_from(id.unwrap_or(0)).ok();
        match spec.codec {
            Codec::Opus => Some(Self::Opus),
            Codec::H264 => Some(Self::H264(format.profile_level_id)),
            // Packets here have no decoding order numbers.
            Codec::H265 if format.sprop_max_don_diff.unwrap_or(0) > 0 => None,
            Codec::H265 => {
                let whole = format.h265_profile_tier_level;
                let named = whole.map(|it| it.profile().to_id());
                let alone = || profile(format.profile_id).filter(|&id| id > 0);
                Some(Self::H265(named.or_else(alone).unwrap_or(1)))
            }
            Codec::Vp9 => profile(format.profile_id).map(Self::Vp9),
            Codec::Av1 => Some(Self::Av1(format.profile.unwrap_or(0))),
            _ => None,
        }
    }

    /// Whether who takes this takes a stream of that.
    pub(crate) fn takes(self, stream: Self) -> bool {
        match (self, stream) {
            // Decoders take more than they name.
            (Self::H264(_), Self::H264(_)) => true,
            (Self::H265(offered), Self::H265(profile)) => offered >= profile,
            _ => self == stream,
        }
    }

    /// Whether it is that stream's own kind, level aside.
    pub(crate) fn is_kin(self, stream: Self) -> bool {
        let profile = |id: u32| id >> 16;
        match (self, stream) {
            (Self::H264(offered), Self::H264(id)) => {
                offered.is_some() && offered.map(profile) == id.map(profile)
            }
            _ => self == stream,
        }
    }
}

/// Lets a session agree on H.264: one payload type of each profile, all in packetization mode 1.
pub(crate) fn add_h264(config: &mut RtcConfig) {
    // The level is what a decoder must cope with: 5.1 is 4K at 30 frames a second.
    let profiles = [
        (102, 103, 0x42_e033),
        (104, 105, 0x4d_0033),
        (106, 107, 0x64_0033),
        (108, 109, 0x42_0033),
    ];
    for (pt, resend, profile) in profiles {
        let resend = Some(Pt::new_with_value(resend));
        let codecs = config.codec_config();
        codecs.add_h264(Pt::new_with_value(pt), resend, true, profile);
    }
}

/// Lets a session agree on what not every player takes: H.265 of 8 and 10 bits, VP9, AV1.
pub(crate) fn add_newer(config: &mut RtcConfig) {
    let codecs = config.codec_config();
    for (pt, resend, profile) in [(49, 50, 1), (51, 52, 2)] {
        let resend = Some(Pt::new_with_value(resend));
        codecs.add_h265(Pt::new_with_value(pt), resend, profile, 0, H265_LEVEL);
    }
    // Payload types 98 to 101, of profiles 0 and 2.
    codecs.enable_vp9(true);
    // 45 and 46.
    codecs.enable_av1(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_take_their_own_profile_and_what_it_includes() {
        assert!(Format::H264(Some(0x42_e01f)).takes(Format::H264(Some(0x64_0028))));
        assert!(!Format::H264(None).is_kin(Format::H264(None)));
        assert!(Format::H265(2).takes(Format::H265(1)));
        assert!(!Format::H265(1).takes(Format::H265(2)));
        assert!(!Format::Vp9(0).takes(Format::Vp9(2)));
        assert!(!Format::Vp9(0).takes(Format::Av1(0)));
    }
}
