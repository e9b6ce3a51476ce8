//! Memory stays flat whatever the artifacts' size (issue: Show 5).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::binary::Running;
use super::support::client::PATIENCE;

const MIB: u64 = 1 << 20;
const CLIENTS: u64 = 4;
/// How far two peaks may lie apart.
const SLACK: u64 = 20 * MIB;

/// A mebibyte of an artifact: the same for all but its first bytes.
fn block(artifact: u64, at: u64) -> Vec<u8> {
    let mut block = vec![0xA5; 1 << 20];
    block[..8].copy_from_slice(&artifact.to_le_bytes());
    block[8..16].copy_from_slice(&at.to_le_bytes());
    block
}

fn path(artifact: u64) -> String {
    format!("/v1/packages/big/one/versions/{artifact}.0.0")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn upload(address: SocketAddr, token: &str, artifact: u64, mebibytes: u64) {
    let mut stream = connect(address);
    let head = format!(
        "PUT {}?create HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        path(artifact),
        mebibytes * MIB
    );
    stream.write_all(head.as_bytes()).expect("the server takes it");
    for at in 0..mebibytes {
        stream.write_all(&block(artifact, at)).expect("the server takes it");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fn download(address: SocketAddr, artifact: u64, mebibytes: u64) {
    let mut stream = connect(address);
    let head = format!("GET {}/artifact HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path(artifact));
    stream.write_all(head.as_bytes()).expect("the server takes it");
    let mut head = Vec::new();
    let mut one = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut one).expect("a head");
        head.push(one[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    let mut found = vec![0; 1 << 20];
    for at in 0..mebibytes {
        stream.read_exact(&mut found).expect("the whole artifact");
        assert!(found == block(artifact, at), "mebibyte {at} of {artifact}");
    }
}

/// A value of `/proc/PID/status`, in bytes.
fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
    let kib: u64 = line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// The most memory that was resident while 4 clients uploaded and 4 downloaded artifacts of this size.
fn peak(server: &Running, first: u64, mebibytes: u64) -> u64 {
    upload(server.address, &server.token, first, mebibytes);
    // Forgets the peak that was (proc(5), clear_refs).
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("our own process");
    std::thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || upload(server.address, &server.token, first + client, mebibytes));
            scope.spawn(move || download(server.address, first, mebibytes));
        }
    });
    status(server.pid(), "VmHWM")
}

fn free_bytes(directory: &Path) -> u64 {
    let free = rustix::fs::statvfs(directory).expect("a file system");
    free.f_bavail * free.f_frsize
}

#[test]
fn memory_stays_flat_between_small_and_large_artifacts() {
    let long = std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long");
    let (small, large) = (64, if long { 2048 } else { 512 });
    let needed = (small + large) * (CLIENTS + 1) * MIB + (1 << 30);
    let free = free_bytes(&std::env::temp_dir());
    if free < needed {
        let message = format!("memory: {} MiB are free of the {} MiB that this test needs", free / MIB, needed / MIB);
        assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "{message}");
        eprintln!("{message}: nothing was measured");
        return;
    }
    let mut server = Running::start();
    let (at_small, at_large) = (peak(&server, 1, small), peak(&server, 10, large));
    eprintln!("memory: {} MiB at artifacts of {small} MiB, {} MiB at {large} MiB", at_small / MIB, at_large / MIB);
    assert!(at_small.abs_diff(at_large) <= SLACK, "{} MiB and {} MiB", at_small / MIB, at_large / MIB);
    server.stop();
}
