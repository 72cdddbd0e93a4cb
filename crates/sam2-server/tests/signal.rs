//! SIGTERM, sent to this very process: the only test of its program, because a signal is for all.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::{Answer, config, connect, write_site};
use sam2_server::Server;

#[test]
fn sigterm_lets_a_running_download_finish() {
    const SIZE: usize = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    write_site(folder.path());
    std::fs::write(folder.path().join("models/big.safetensors"), vec![7; SIZE]).unwrap();
    let config = config(folder.path());
    let (ready, address) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let server = Server::bind(config)?;
        ready.send(server.address()).unwrap();
        sam2_server::actix_web::rt::System::new()
            .block_on(server.run(sam2_server::shutdown_signal()))
    });
    let address = address.recv_timeout(Duration::from_secs(20)).unwrap();

    // An answer first: the handler of the signal is in place once requests are answered.
    let mut stream = connect(address);
    stream
        .write_all(b"GET /models/big.safetensors HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut bytes = vec![0; 1024];
    stream.read_exact(&mut bytes).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let pid = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    std::thread::sleep(Duration::from_millis(500));
    assert!(!server.is_finished(), "the download is still running");

    stream.read_to_end(&mut bytes).unwrap();
    // Or the server waits for our end of the connection, as long as it waits for any client's.
    drop(stream);
    let answer = Answer::parse(&bytes);
    assert_eq!((answer.status, answer.body.len()), (200, SIZE));
    assert!(answer.body.iter().all(|&byte| byte == 7));
    server.join().unwrap().expect("a clean end");
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "no new connections"
    );
}
