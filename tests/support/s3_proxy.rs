//! A network that fails on command: what stands between a client and an S3 server, and spoils the requests that it is told to.
//!
//! A connection carries one request.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is not asked, and this is answered.
    Answer(u16),
    /// The server is not asked, and this is answered before the content has come, which then meets a closed connection.
    AnswerEarly(u16),
    /// It is never answered.
    Silence,
    /// The connection is reset in the middle of the request.
    ResetRequest,
    /// The server does it, and the connection is reset before the answer.
    LostAnswer,
    /// The server does it, and the connection is reset in the middle of the answer.
    ResetAnswer,
    /// The server does it, and the connection ends in the middle of the answer.
    CutAnswer,
    /// The server does it; the answer says that it is half as long, and is.
    HalfAnswer,
    /// The server does not see the condition, as if it knew none.
    NoCondition,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The range that is asked for, if any.
    pub range: Option<String>,
    /// It has a condition.
    pub conditional: bool,
}

type Rule = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// A proxy, which ends with its process.
pub struct Proxy {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    rule: Arc<Mutex<Rule>>,
}

impl Proxy {
    /// In front of the server at a port of this machine.
    pub fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let rules = Arc::clone(&rule);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rules = Arc::clone(&rules);
                // An error here is a connection that the client gave up.
                std::thread::spawn(move || drop(serve(client, server, &rules)));
            }
        });
        Self { endpoint, rule }
    }

    /// Says from now on which requests fail how.
    pub fn rule(&self, rule: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }
}

fn serve(mut client: TcpStream, server: u16, rule: &Mutex<Rule>) -> io::Result<()> {
    let (head, body) = read_head(&mut client)?;
    if head.is_empty() {
        return Ok(());
    }
    let request = parse(&head);
    let fault = (rule.lock().unwrap())(&request);
    match fault {
        Some(Fault::Silence) => {
            // Until the client has enough.
            let mut sink = [0; 4096];
            while client.read(&mut sink)? > 0 {}
            return Ok(());
        }
        Some(Fault::ResetRequest) => return reset(client),
        Some(Fault::AnswerEarly(status)) => {
            answer(&mut client, status)?;
            // The client goes on writing for a while.
            std::thread::sleep(Duration::from_millis(50));
            return Ok(());
        }
        _ => {}
    }
    let whole = read_body(&mut client, &head, body)?;
    if let Some(Fault::Answer(status)) = fault {
        return answer(&mut client, status);
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    if fault == Some(Fault::NoCondition) {
        // The signature is over the condition, too.
        let goes =
            |line: &&str| ["if-none-match:", "authorization:"].iter().any(|name| line.to_lowercase().starts_with(name));
        lines.retain(|line| !goes(line));
    }
    lines.push("Connection: close\r\n\r\n");
    upstream.write_all(lines.join("\r\n").as_bytes())?;
    upstream.write_all(&whole)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    // Of an answer without content a part of the head is lost.
    let half = if end < answer.len() { end + (answer.len() - end) / 2 } else { end / 2 };
    match fault {
        Some(Fault::LostAnswer) => return reset(client),
        Some(Fault::ResetAnswer) => {
            client.write_all(&answer[..half])?;
            // What is not read yet would be lost with the reset; the client shall see half an answer.
            std::thread::sleep(Duration::from_millis(5));
            return reset(client);
        }
        Some(Fault::CutAnswer) => client.write_all(&answer[..half])?,
        Some(Fault::HalfAnswer) => {
            let half = half.max(end);
            let head = String::from_utf8_lossy(&answer[..end]).into_owned();
            let length = |line: &str| {
                if line.to_ascii_lowercase().starts_with("content-length:") {
                    format!("Content-Length: {}", half - end)
                } else {
                    line.to_owned()
                }
            };
            let lines: Vec<String> = head.split("\r\n").map(length).collect();
            client.write_all(lines.join("\r\n").as_bytes())?;
            client.write_all(&answer[end..half])?;
        }
        _ => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Write)
}

/// Answers on behalf of the server, and says nothing more.
fn answer(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let body = format!("<Error><Code>Code{status}</Code><Message>on command</Message></Error>");
    let head = format!("HTTP/1.1 {status} On Command\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())?;
    client.shutdown(Shutdown::Write)
}

/// Closes a connection with a reset.
fn reset(stream: TcpStream) -> io::Result<()> {
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// The head of a request, and what was read behind it.
fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let body = bytes.split_off(at + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        match stream.read(&mut part)? {
            0 => return Ok((String::new(), Vec::new())),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = |line: &'h str| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.split("\r\n").find_map(line)
}

fn read_body(stream: &mut TcpStream, head: &str, mut body: Vec<u8>) -> io::Result<Vec<u8>> {
    let length: usize = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
    let read = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[read..])?;
    Ok(body)
}

fn parse(head: &str) -> Request {
    let mut words = head.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    Request {
        method: word(),
        target: word(),
        range: header(head, "range").map(str::to_owned),
        conditional: header(head, "if-none-match").is_some(),
    }
}
