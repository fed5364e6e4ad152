//! Backups in a bucket: the command from `init` to `restore`, and what it says when the bucket cannot be used.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::proxy::{Fault, Proxy};
use crate::server::{OWNER, READER, server, variables};
use crate::support::{AGENT, Bed, Done, USER};

/// A vault with a memory in it.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.file("passphrase", "right\n");
    bed.file("other", "other\n");
    let session = bed.ok(["session", "start", "--agent", AGENT, "--user", USER]);
    bed.ok(["memory", "add", "first", "--tier", "long_term", "--session", session.trim()]);
    bed
}

/// A verb of `backup` on a place, with these variables.
fn command(bed: &Bed, verb: &[&str], repo: &str, variables: &[(String, String)]) -> Command {
    let open = ["--repo", repo, "--passphrase-file", "passphrase"];
    let mut command = bed.command([&["backup"], verb, &open].concat());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

#[track_caller]
fn ok(bed: &Bed, verb: &[&str], repo: &str, variables: &[(String, String)]) -> String {
    let done = Done::from(command(bed, verb, repo, variables).output().unwrap());
    assert_eq!(done.code, 0, "{verb:?}: {}", done.stderr);
    done.stdout.trim().to_owned()
}

#[track_caller]
fn fails(bed: &Bed, repo: &str, variables: &[(String, String)], code: i32, says: &[&str]) {
    let done = Done::from(command(bed, &["list"], repo, variables).output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{}", done.stderr);
    for text in says {
        assert!(done.stderr.contains(text), "{text}: {}", done.stderr);
    }
}

/// Every verb, over a connection that is encrypted and one that is not.
#[test]
fn a_vault_goes_into_a_bucket_and_comes_back() {
    let server = server();
    let mut encrypted = variables(&server.encrypted, OWNER);
    encrypted.push(("SSL_CERT_FILE".to_owned(), server.certificate.display().to_string()));
    for (repo, variables) in [("s3://tests/command", server.variables(OWNER)), ("s3:tests/command-tls", encrypted)] {
        let bed = bed();
        let ok = |verb: &[&str]| ok(&bed, verb, repo, &variables);
        ok(&["init"]);
        let name = ok(&["create", "--name", "one"]);
        let again: Value = serde_json::from_str(&ok(&["create", "--json"])).unwrap();
        assert_eq!(again["new_blobs"], 0);
        let listed = ok(&["list"]);
        assert!(listed.contains(&name) && listed.contains("one"), "{listed}");
        assert!(ok(&["verify"]).contains("sound"));
        ok(&["restore", "one", "--to", "restored"]);
        let root = |vault: &str| {
            let verified = bed.ok(["--vault", vault, "--json", "verify"]);
            serde_json::from_str::<Value>(&verified).unwrap()["root"].clone()
        };
        assert_eq!(root("restored"), root(bed.vault().to_str().unwrap()));
        ok(&["restore", "--to", "files", "--only", "memories"]);
        assert_eq!(std::fs::read_dir(bed.path("files/memories")).unwrap().count(), 1);
        ok(&["delete", "one"]);
        ok(&["prune", "--keep-last", "1", "--grace", "0s"]);
        ok(&["export", "sealed", "--new-passphrase-file", "other"]);
        ok(&["key", "passwd", "--new-passphrase-file", "other"]);
        fails(&bed, repo, &variables, 18, &["wrong passphrase"]);
        std::fs::copy(bed.path("other"), bed.path("passphrase")).unwrap();
        assert!(ok(&["verify"]).contains("sound"));
    }
}

/// Each way in which a bucket cannot be used has its exit code, and says what to do.
#[test]
fn failures_say_what_to_do() {
    let (bed, server) = (bed(), server());
    let owner = server.variables(OWNER);
    fails(&bed, "s3://tests/nothing", &owner, 18, &["s3://tests/nothing is not a backup repository", "backup init"]);
    fails(&bed, "s3://nowhere/x", &owner, 15, &["s3://nowhere/x", "no such bucket"]);
    fails(&bed, "s3://", &owner, 2, &["names no bucket", "s3://BUCKET/PREFIX"]);
    fails(&bed, "s3://tests/x", &[], 2, &["no credentials", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    fails(&bed, "s3://tests/x", &server.variables((OWNER.0, "wrong")), 13, &["AWS_SECRET_ACCESS_KEY"]);
    fails(&bed, "s3://tests/x", &variables("http://s3.example.com", OWNER), 2, &["AWS_ALLOW_HTTP"]);
    fails(&bed, "s3://tests/x", &variables(&server.encrypted, OWNER), 13, &["certificate"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    fails(&bed, "s3://tests/x", &variables(&closed, OWNER), 13, &["cannot be reached"]);
    let init = command(&bed, &["init"], "s3://tests/reader", &server.variables(READER)).output().unwrap();
    let init = Done::from(init);
    assert_eq!(init.code, 13, "{}", init.stderr);
    assert!(init.stderr.contains("access denied") && init.stderr.contains("s3:PutObject"), "{}", init.stderr);
    // Nothing of the credentials is said.
    assert!(!init.stderr.contains(READER.1));
}

/// Ctrl-C ends a backup whose server does not answer.
#[test]
fn an_interrupt_does_not_wait_for_the_server() {
    let bed = bed();
    let repo = "s3://tests/interrupted-command";
    ok(&bed, &["init"], repo, &server().variables(OWNER));
    let proxy = Proxy::new(server().port);
    let (waits, waiting) = mpsc::channel();
    proxy.rule(move |request| {
        let pack = request.method == "PUT" && request.target.contains("/packs/");
        if pack {
            let _ = waits.send(());
        }
        pack.then_some(Fault::Silence)
    });
    let mut backup = command(&bed, &["create"], repo, &variables(&proxy.endpoint, OWNER));
    let mut backup = backup.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    waiting.recv().unwrap();
    let pid = rustix::process::Pid::from_child(&backup);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = backup.wait().unwrap();
    let mut said = String::new();
    backup.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert!(ok(&bed, &["verify"], repo, &server().variables(OWNER)).contains("sound"));
    ok(&bed, &["create"], repo, &server().variables(OWNER));
}
