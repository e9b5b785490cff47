//! Replicas come and go, and nobody who asks notices.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::Failed;

use super::password;
use crate::Story;
use crate::lab::{Did, Folder, Host, Layer};

pub const STORIES: &[Story] = &[("prefect::rolling", rolling), ("prefect::rolling_each", rolling_each)];

/// From the former version to the present one under load and without a failed request; then replicas that
/// do not work, and the present ones serve on.
fn rolling() -> Result<(), Failed> {
    let stack = Stack::with(&format!("{FORMER}{TWO}"));
    let load = Load::on(&stack.host, &stack.folder);
    stack.up(TWO).expect(0).said(&["of prefect-api one container after the other is replaced"]);
    assert_eq!(stack.replicas().lines().count(), 2);
    assert!(stack.replicas().lines().all(|image| image.contains("3.9.1")), "{}", stack.replicas());
    load.ended_well(1000);

    // A replica that cannot live: what serves is not touched.
    let before = stack.serving();
    let load = Load::on(&stack.host, &stack.folder);
    let did = stack.up(&format!("{TWO}PREFECT_API_MEMORY = \"24m\"\n"));
    did.fails(6, &["a new container of prefect-api", "prefect-api keeps serving: 2 of its containers run"]);
    assert_eq!(stack.serving(), before);
    load.ended_well(100);
    // And back: there is nothing to replace.
    stack.up(TWO).expect(0);
    assert_eq!(stack.serving(), before);
    Ok(())
}

/// More replicas and fewer, under load; and a version that does not work with the database.
fn rolling_each() -> Result<(), Failed> {
    let stack = Stack::with(TWO);
    let load = Load::on(&stack.host, &stack.folder);
    for count in [3, 2] {
        stack.up(&format!("PREFECT_API_REPLICAS = {count}\n")).expect(0);
        assert_eq!(stack.replicas().lines().count(), count);
    }
    load.ended_well(1000);

    // A version that the database is too new for: its migration ends, and all else goes on.
    let before = stack.serving();
    let did = stack.up(&format!("{FORMER}{TWO}"));
    did.fails(6, &["prefect-migrate ended with exit code 1", "prefect-api keeps serving"]);
    assert_eq!(stack.serving(), before);
    assert!(stack.host.ask(4200, "/api/ready")?.contains(" 200 "));
    stack.up(TWO).expect(0);
    Ok(())
}

/// The server and what it stands on: the rest of the stack has no part in this.
const FEW: &str = "
[steps.stack.env]
COMPOSE_PROFILES = \"\"
";

/// The version to come from.
const FORMER: &str = "PREFECT_IMAGE = \"prefecthq/prefect:3.9.0-python3.12\"\n";

/// What is true of two replicas is true of more, and each takes the processors for a while to start.
const TWO: &str = "PREFECT_API_REPLICAS = 2\n";

/// A host with the stack.
struct Stack {
    host: Host,
    folder: Folder,
}

impl Stack {
    fn with(settings: &str) -> Self {
        let stack = Self { host: Host::on(Layer::Images), folder: Folder::empty() };
        stack.up(settings).expect(0);
        stack
    }

    fn up(&self, settings: &str) -> Did {
        self.folder.settings(&format!("{FEW}{settings}"));
        self.folder.provision(&["up", "--yes", "--playbook", "prefect", &self.host.name])
    }

    /// The images of the replicas, a line each.
    fn replicas(&self) -> String {
        self.host
            .inside("docker ps --format '{{.Image}}' --filter label=com.docker.compose.service=prefect-api")
    }

    /// Their containers.
    fn serving(&self) -> String {
        self.host
            .inside("docker ps -q --no-trunc --filter label=com.docker.compose.service=prefect-api | sort")
    }
}

/// Clients that ask all the time, on connections that are kept open, and write as well.
struct Load {
    goes_on: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    bad: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(host: &Host, folder: &Folder) -> Self {
        let load = Self {
            goes_on: Arc::new(AtomicBool::new(true)),
            good: Arc::default(),
            bad: Arc::default(),
            clients: Vec::new(),
        };
        let authorization =
            format!("Basic {}", BASE64_STANDARD.encode(format!("prefect:{}", password(host, folder))));
        let clients = (0..4).map(|number| {
            let (goes_on, good, bad) =
                (Arc::clone(&load.goes_on), Arc::clone(&load.good), Arc::clone(&load.bad));
            let (address, authorization) = (host.address.clone(), authorization.clone());
            std::thread::spawn(move || {
                let mut connection = None;
                let mut turn = 0_usize;
                while goes_on.load(Ordering::Relaxed) {
                    turn += 1;
                    let request = request(number, turn, &authorization);
                    match ask(&mut connection, &address, &request) {
                        Ok(200 | 201) => {
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        other => {
                            connection = None;
                            bad.lock()
                                .expect("the list")
                                .push(format!("{other:?} to {}", request.lines().next().unwrap_or_default()));
                        }
                    }
                    // Steady, and not so much that the processors have time for nothing else.
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
        });
        Self { clients: clients.collect(), ..load }
    }

    #[track_caller]
    fn ended_well(self, at_least: usize) {
        self.goes_on.store(false, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client");
        }
        let bad = self.bad.lock().expect("the list");
        let good = self.good.load(Ordering::Relaxed);
        eprintln!("{good} requests answered, {} failed", bad.len());
        assert!(bad.is_empty(), "{} of {} failed: {bad:#?}", bad.len(), good + bad.len());
        assert!(good >= at_least, "only {good} requests");
    }
}

/// A look, a question and something that is written, in turn.
fn request(client: usize, turn: usize, authorization: &str) -> String {
    let (line, body) = match turn % 3 {
        0 => ("GET /api/health", String::new()),
        1 => ("POST /api/flow_runs/filter", "{\"limit\":5}".to_owned()),
        _ => {
            let unique =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let name = format!("load_{client}_{turn}_{}", unique.as_millis());
            ("POST /api/variables/", format!("{{\"name\":\"{name}\",\"value\":1}}"))
        }
    };
    format!(
        "{line} HTTP/1.1\r\nHost: prefect\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The status of one answer, on a connection that stays.
fn ask(connection: &mut Option<BufReader<TcpStream>>, address: &str, request: &str) -> std::io::Result<u16> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect((address, 4200))?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            connection.insert(BufReader::new(stream))
        }
    };
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("the connection was closed"));
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_lowercase());
    }
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut body = vec![0; header("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let chunked = header("transfer-encoding:").is_some();
    if chunked || header("connection:") == Some("close") {
        *connection = None;
    }
    let status = head.first().and_then(|line| line.split(' ').nth(1)).and_then(|text| text.parse().ok());
    status.ok_or_else(|| std::io::Error::other("no status line"))
}
