//! The browser that other tests drive is there, and plays what they send.

use anyhow::Result;
use lockgate_tests::browser;
use serde_json::json;

#[test]
fn the_browser_decodes_h264_and_aac_and_has_a_camera() -> Result<()> {
    let seen = browser::run("works.mjs", &json!({}))?;
    assert_eq!(seen.result["decodes"], json!([true, true]));
    assert_eq!(seen.result["tracks"], 2);
    assert_eq!(seen.errors, [] as [String; 0]);
    Ok(())
}
