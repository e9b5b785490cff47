//! A small HTTP server within the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::cache::digest_of;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// `name: value`, the names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What is answered.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    raw: bool,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: String::new(), raw: false }
    }

    pub fn ok(kind: &str, body: &str) -> Reply {
        let mut reply = Reply::status(200).header("content-type", kind);
        reply.body = body.to_owned();
        reply
    }

    pub fn manifest(kind: &str, body: &str) -> Reply {
        Reply::ok(kind, body).header("docker-content-digest", &digest_of(body.as_bytes()))
    }

    /// Bytes that need not be HTTP.
    pub fn raw(text: &str) -> Reply {
        Reply { body: text.to_owned(), raw: true, ..Reply::status(0) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        if self.raw {
            return self.body.clone().into_bytes();
        }
        let mut text = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "connection: close\r\n\r\n";
        if method != "HEAD" {
            text += &self.body;
        }
        text.into_bytes()
    }
}

/// A server that answers until the test ends.
pub struct Server {
    /// `127.0.0.1:port`
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
    most: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let most = Arc::new(AtomicUsize::new(0));
        let server = Server { address, log: Arc::clone(&log), most: Arc::clone(&most) };
        let answer = Arc::new(answer);
        let now = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                std::thread::spawn(move || {
                    let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(count, Ordering::SeqCst);
                    if let Some(request) = read(&stream) {
                        log.lock().unwrap().push(format!("{} {}", request.method, request.path));
                        let reply = answer(&request).bytes(&request.method);
                        now.fetch_sub(1, Ordering::SeqCst);
                        let _ = (&stream).write_all(&reply);
                    } else {
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        server
    }

    /// The requests since the last call.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// How many requests were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut request =
        Request { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
