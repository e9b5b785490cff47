use proptest::prelude::*;

use super::*;

fn no_passwords() -> Passwords {
    Passwords::new(|_, _, _| Err("there is no prompt here".into()))
}

#[test]
fn the_frame_is_one_word_for_any_login_shell() {
    let (passwords, asked) = (no_passwords(), Cell::new(false));
    let command = Framed::new("web1", b"echo", &passwords, &asked).command();
    assert_eq!(command.matches('\'').count(), 2, "{command}");
    assert!(!command.contains('\n'), "{command}");
    // csh would take it for history.
    assert!(!command.contains("!\""), "{command}");
    assert!(command.ends_with(" 4"), "the program's length is the last word: {command}");
}

/// What a host answers, fed to the laptop's side.
fn heard(answer: &[u8]) -> (Result<Ended, HostError>, Vec<String>) {
    let (passwords, asked) = (no_passwords(), Cell::new(false));
    let frame = Framed::new("web1", b"echo", &passwords, &asked);
    let answer = String::from_utf8_lossy(answer).replace("@TAG", &format!("@{}", frame.tag));
    let mut lines = Vec::new();
    let streams =
        Streams { stdin: Some(Vec::new()), stdout: Some(answer.as_bytes()), stderr: Some(&b""[..]) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let ended = runtime.block_on(frame.run(streams, &mut |line| lines.push(line.to_owned())));
    (ended, lines)
}

#[test]
fn a_password_is_given_to_sudo_alone() {
    let asked = Cell::new(false);
    let passwords = Passwords::new(|_, _, _| Ok(Password::new("geheim".into())));
    let try_it = |answer: &str, is_root: bool| {
        let frame = Framed::new("web1", b"echo", &passwords, &asked).for_root(is_root);
        let answer = answer.replace("@TAG", &format!("@{}", frame.tag));
        let mut sent = Vec::new();
        let streams =
            Streams { stdin: Some(&mut sent), stdout: Some(answer.as_bytes()), stderr: Some(&b""[..]) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let ended = runtime.block_on(frame.run(streams, &mut |_| {}));
        (
            ended.map(|ended| ended.code).map_err(|error| error.to_string()),
            String::from_utf8_lossy(&sent).into_owned(),
        )
    };
    let usual = "@TAG password\n@TAG begin\n\n@TAG exit 0\n";
    assert_eq!(try_it(usual, false), (Ok(0), "echogeheim\n".into()));
    let (refused, sent) = try_it(usual, true);
    assert!(refused.expect_err("root").contains("although the login is root"));
    assert_eq!(sent, "echo");
    let (refused, sent) = try_it("@TAG begin\n@TAG password\n\n@TAG exit 0\n", false);
    assert!(refused.expect_err("begun").contains("runs as root already"));
    assert_eq!(sent, "echo");
}

/// A host that goes on and on, or says nothing at all.
#[test]
fn no_host_is_waited_for_for_ever() {
    let (passwords, asked) = (no_passwords(), Cell::new(false));
    let short =
        |what, total| Bounds { what, silence: Duration::from_millis(60), total, bytes: Some(1024 * 1024) };
    let run = |bounds: Bounds, stdin: tokio::io::DuplexStream, stdout: Box<dyn AsyncRead + Unpin>| {
        let frame = Framed::new("web1", &[b'x'; 200_000], &passwords, &asked).within(bounds);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let streams = Streams { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(&b""[..]) };
        runtime.block_on(frame.run(streams, &mut |_| {})).expect_err("no end").to_string()
    };
    let silent = "web1 has said nothing for 60 ms; provision was waiting for its facts";
    let pipe = |size| tokio::io::duplex(size);
    // It takes nothing, it says nothing, its line has no end, and its lines have none.
    let (stdin, _kept) = pipe(10);
    assert_eq!(run(short("its facts", None), stdin, Box::new(tokio::io::empty())), silent);
    let (stdin, _kept) = pipe(1 << 20);
    let (_speaks, stdout) = pipe(10);
    assert_eq!(run(short("its facts", None), stdin, Box::new(stdout)), silent);
    let (stdin, _kept) = pipe(1 << 20);
    let endless = Box::new(tokio::io::repeat(b'\n'));
    let said = run(short("its facts", None), stdin, endless);
    assert_eq!(said, "web1 sends more than 1.0 MB for its facts; provision has stopped reading");
}

#[test]
fn output_is_what_stands_between_the_marks() {
    let (ended, lines) = heard(b"Welcome!\n@TAG begin\none\n\ntwo\n\n@TAG exit 3\n");
    assert_eq!(ended.map(|ended| ended.code).ok(), Some(3));
    assert_eq!(lines, ["one", "", "two"]);

    let (ended, lines) = heard(b"@TAG begin\nhalf a li");
    assert!(matches!(ended, Err(HostError::Lost { .. })), "{ended:?}");
    assert_eq!(lines, ["half a li"]);
    for (answer, what) in [
        ("@TAG refused\n", "did not accept the password"),
        ("@TAG password\n", "there is no prompt here"),
        ("@TAG no-sudo\n", "there is no `sudo`"),
        ("@TAG no-space\n", "no temporary file"),
        ("@TAG \u{1b}[31m\n", "unexpected answer"),
    ] {
        let error = heard(answer.as_bytes()).0.expect_err(answer).to_string();
        assert!(error.contains(what), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

proptest! {
    #[test]
    fn garbage_ends(answer in prop::collection::vec(any::<u8>(), 0..400), begins in any::<bool>()) {
        let mut bytes = if begins { b"@TAG begin\n".to_vec() } else { Vec::new() };
        bytes.extend(answer);
        prop_assert!(heard(&bytes).0.is_err());
    }
}
