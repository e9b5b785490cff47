//! Long and deep files: read, or clearly refused, in a time that grows with them and no faster.

use std::fs;

use super::*;

/// Nanoseconds that this thread has had a processor for: other work on the machine does not count.
fn worked() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("the time of this thread");
    text.split_whitespace().next().and_then(|time| time.parse().ok()).expect("nanoseconds")
}

/// How long reading takes, and what comes of it.
fn read(text: &str) -> (u64, Result<usize, String>) {
    let began = worked();
    let folder = "big";
    let read = parse(text, "compose.yaml", &Environment::default(), Naming { explicit: None, folder });
    (worked() - began, read.map(|project| project.services.len()).map_err(|error| error.to_string()))
}

type Made = fn(usize) -> String;

/// A line for each number.
fn lines(numbers: std::ops::Range<usize>, line: impl Fn(usize) -> String) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

/// Each with how much of it is read, so that twice as much is read too.
const LONG: [(&str, usize, Made); 13] = [
    ("labels", 10_000, |count| {
        let labels = lines(0..count, |n| format!("      label.{n}: value {n}"));
        format!("services:\n  a:\n    image: a\n    labels:\n{labels}")
    }),
    ("labels in a list", 10_000, |count| {
        let labels = lines(0..count, |n| format!("      - label.{n}=value {n}"));
        format!("services:\n  a:\n    image: a\n    labels:\n{labels}")
    }),
    ("services", 2_000, |count| {
        format!("services:\n{}", lines(0..count, |n| format!("  s{n}: {{image: a}}")))
    }),
    ("services with names and volumes", 1_000, |count| {
        let service = |n| {
            format!("  s{n}: {{image: a, container_name: name{n}, volumes: [\"v{n}:/x\"], networks: [n{n}]}}")
        };
        let (services, volumes) = (lines(0..count, service), lines(0..count, |n| format!("  v{n}:")));
        let networks = lines(0..count, |n| format!("  n{n}:"));
        format!("services:\n{services}volumes:\n{volumes}networks:\n{networks}")
    }),
    ("services with a port", 6_000, |count| {
        format!(
            "services:\n{}",
            lines(0..count, |n| format!("  s{n}: {{image: a, ports: [\"{}:80\"]}}", 1_000 + n))
        )
    }),
    ("ports of one service", 12_000, |count| {
        let ports = lines(0..count, |n| format!("      - {}:80", 1_000 + n));
        format!("services:\n  a:\n    image: a\n    ports:\n{ports}")
    }),
    ("a chain of extends", 2_000, |count| {
        let chain = lines(1..count, |n| format!("  s{n}: {{extends: {{service: s{}}}}}", n - 1));
        format!("services:\n  s0: {{image: a}}\n{chain}")
    }),
    ("many that extend one", 2_000, |count| {
        let many = lines(1..count, |n| format!("  s{n}: {{extends: {{service: s0}}}}"));
        format!("services:\n  s0: {{image: a, labels: [a=b]}}\n{many}")
    }),
    ("a chain of depends_on", 2_000, |count| {
        let chain = lines(1..count, |n| format!("  s{n}: {{image: a, depends_on: [s{}]}}", n - 1));
        format!("services:\n  s0: {{image: a}}\n{chain}")
    }),
    ("one that depends on all", 2_000, |count| {
        let services = lines(0..count, |n| format!("  s{n}: {{image: a}}"));
        let names = lines(0..count, |n| format!("      - s{n}"));
        format!("services:\n{services}  z:\n    image: a\n    depends_on:\n{names}")
    }),
    ("a chain of aliases", 2_000, |count| {
        let chain = lines(1..count, |n| format!("x-{n}: &a{n} {{<<: *a{}}}", n - 1));
        format!("x-0: &a0 {{b: c}}\n{chain}services: {{a: {{image: a}}}}\n")
    }),
    ("variables that are not set", 10_000, |count| {
        let values = lines(0..count, |n| format!("      K{n}: ${{V{n}}}"));
        format!("services:\n  a:\n    image: a\n    environment:\n{values}")
    }),
    ("a long text", 1_000_000, |count| {
        format!("services:\n  a:\n    image: a\n    command: {}\n", "word ".repeat(count / 5))
    }),
];

/// Twice the length takes twice the time, with room for what a busy machine adds.
#[test]
fn time_grows_with_the_length_alone() {
    for (what, count, made) in LONG {
        let (once, twice) = (made(count), made(2 * count));
        // Of several runs the quickest is the one that was disturbed least.
        let quickest = |text: &str| {
            let runs =
                (0..2).map(|_| read(text)).inspect(|(_, read)| assert!(read.is_ok(), "{what}: {read:?}"));
            runs.map(|(time, _)| time).min().unwrap_or_default()
        };
        let (short, long) = (quickest(&once), quickest(&twice));
        let (short, long) = (short / 1_000_000, long / 1_000_000);
        assert!(long <= 3 * short + 100, "{what}: {short} ms for {count}, {long} ms for twice as many");
    }
}

#[test]
fn what_is_too_much_is_refused_as_such() {
    let deep = |open: &str, close: &str| format!("x: {}{}\n", open.repeat(5_000), close.repeat(5_000));
    for (what, text, said) in [
        ("100,000 labels", LONG[0].2(100_000), "more than 200000 values"),
        ("a file of 5 MB", LONG[0].2(180_000), "more than 200000 values"),
        ("5 MB of items", format!("x: [{}]\n", "aa, ".repeat(1_300_000)), "more than 200000 values"),
        ("deep lists", deep("[", "]"), "nested more than 100 deep"),
        ("deep mappings", deep("{a: ", "}"), "nested more than 100 deep"),
        (
            "a deep block",
            (0..300).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n"),
            "nested more than 100 deep",
        ),
    ] {
        let error = read(&text).1.expect_err(what);
        assert!(error.contains(said), "{what}: {error}");
        assert!(error.len() < 300, "{what}: {error}");
    }
    for (what, text) in [
        ("a comment of 5 MB", format!("# {}\nservices: {{a: {{image: a}}}}\n", "c".repeat(5_000_000))),
        ("comments of 5 MB", format!("{}services: {{a: {{image: a}}}}\n", "# comment\n".repeat(500_000))),
    ] {
        assert_eq!(read(&text).1, Ok(1), "{what}");
    }
    let extending = LONG.iter().find(|(what, ..)| *what == "many that extend one").expect("it").2;
    let (time, extended) = read(&extending(20_000));
    assert_eq!(extended, Ok(20_000));
    println!("20,000 that extend: {} ms", time / 1_000_000);
}
