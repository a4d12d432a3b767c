//! Starting: what is printed, and what happens when a port cannot be had.

use std::net::{TcpListener, TcpStream};

use crate::process::{Running, lockgate, output};

#[test]
fn it_prints_urls_with_the_ports_it_got() {
    let node = Running::start(&[]);
    let (rtmp, http) = (node.rtmp(), node.http());
    assert_ne!((rtmp.port(), http.port()), (0, 0));
    for line in [
        format!("push     rtmp://{rtmp}/live/<name>"),
        format!("ffmpeg -re -i input.mp4 -c copy -f flv rtmp://{rtmp}/live/demo"),
        format!("watch    rtmp://{rtmp}/live/<name>"),
        format!("ffplay -fflags nobuffer rtmp://{rtmp}/live/demo"),
        format!("metrics  http://{http}/metrics"),
        format!("API      http://{http}/api/v1/streams"),
    ] {
        assert!(
            node.banner.contains(&line),
            "{line:?} is not in {}",
            node.banner
        );
    }
    assert!(TcpStream::connect(rtmp).is_ok());
    assert_eq!(node.get("/healthz"), (200, "ok\n".to_owned()));
}

#[test]
fn a_port_in_use_exits_69_and_says_which_key_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, other) in [
        ("rtmp.listen", "http.listen"),
        ("http.listen", "rtmp.listen"),
    ] {
        let set = format!("{key}={address}");
        let free = format!("{other}=127.0.0.1:0");
        let (code, stdout, stderr) =
            output(lockgate().args(["run", "--set", &set, "--set", &free]));
        assert_eq!((code, stdout.as_str()), (69, ""), "{stderr}");
        let said = format!("lockgate: {key}: cannot listen on {address}: Address already in use");
        let line = stderr.lines().last().unwrap();
        assert!(line.starts_with(&said), "{stderr}");
        assert!(
            line.contains(&format!("--set {key}=127.0.0.1:")),
            "{stderr}"
        );
    }
}

#[test]
fn an_address_of_another_machine_exits_69() {
    // TEST-NET-1 (RFC 5737) belongs to nobody.
    let (code, stdout, stderr) =
        output(lockgate().args(["run", "--set", "rtmp.listen=192.0.2.1:1935"]));
    assert_eq!((code, stdout.as_str()), (69, ""), "{stderr}");
    assert!(
        stderr.contains("rtmp.listen: cannot listen on 192.0.2.1:1935: "),
        "{stderr}"
    );
    assert!(
        stderr.contains("--set rtmp.listen=0.0.0.0:1935"),
        "{stderr}"
    );
}
