//! Moments in which a shut port could answer, and neighbours on the same wire.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::Failed;

use crate::Story;
use crate::lab::{Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("firewall::no_moment_is_open", no_moment_is_open),
    ("firewall::neighbours_on_the_wire", neighbours_on_the_wire),
];

/// Knocks at some ports all the time; how often somebody opened, and how often they were tried.
struct Hammer {
    opened: AtomicUsize,
    tried: AtomicUsize,
    enough: AtomicBool,
}

impl Hammer {
    fn during(host: &Host, ports: &[u16], work: impl FnOnce()) -> (usize, usize) {
        let hammer =
            Self { opened: AtomicUsize::new(0), tried: AtomicUsize::new(0), enough: AtomicBool::new(false) };
        std::thread::scope(|scope| {
            for port in ports.iter().cycle().take(8) {
                let address: SocketAddr = format!("{}:{port}", host.address).parse().expect("an address");
                let hammer = &hammer;
                scope.spawn(move || {
                    while !hammer.enough.load(Ordering::Relaxed) {
                        let answer = TcpStream::connect_timeout(&address, Duration::from_millis(15));
                        hammer.tried.fetch_add(1, Ordering::Relaxed);
                        if answer.is_ok() {
                            hammer.opened.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            work();
            hammer.enough.store(true, Ordering::Relaxed);
        });
        (hammer.opened.into_inner(), hammer.tried.into_inner())
    }
}

/// Reloads, other rules and a reboot: a port that is shut never answers.
fn no_moment_is_open() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: two\nservices:\n  shown: {image: \"nginx:1.27\", ports: [\"8080:80\"], restart: unless-stopped}\n  \
         hidden: {image: \"nginx:1.27\", ports: [\"9090:80\"], restart: unless-stopped}\n",
    );
    // A program of the host's own, from the very beginning of a boot.
    host.inside(
        "printf '[Service]\\nExecStart=/usr/bin/python3 -m http.server 7000\\n[Install]\\nWantedBy=multi-user.target\\n' \
         >/etc/systemd/system/page.service; systemctl enable --now page",
    );
    let up = |ports: &str| {
        folder.settings(&format!("[steps.firewall]\nallow = [{ports}]\nshut = [7000]\n"));
        folder.provision(&["up", "--yes", &host.name]).expect(0);
    };
    up("8080");
    assert!(host.get(8080)?.contains("nginx"));
    let shut = |what: &str, work: &dyn Fn()| {
        let (opened, tried) = Hammer::during(&host, &[9090, 7000], work);
        assert!(tried > 20, "{what}: only {tried} tries");
        assert_eq!(opened, 0, "{what}: {opened} handshakes of {tried} tries");
    };
    shut("20 reloads", &|| {
        for _ in 0..20 {
            host.inside("ufw reload");
        }
    });
    shut("a restart of the service", &|| drop(host.inside("systemctl restart ufw")));
    shut("5 changes of rules", &|| {
        for ports in ["8080, 8081", "8080, 8081, 8082", "8080, 8082", "8080, 8083", "8080"] {
            up(ports);
        }
    });
    shut("a reboot", &|| {
        host.lab("reboot");
        eventually("the page is back", || host.get(8080).is_ok());
    });
    let rules = host.inside("iptables -t mangle -S INPUT");
    assert_eq!(rules, "-P INPUT ACCEPT\n-A INPUT -j PROVISION-INPUT\n", "no guard is left");
    // Who was let in goes on, and gets in again during a reload.
    host.inside("ufw reload");
    assert!(host.get(8080)?.contains("nginx"));

    // Rules that do not load let nobody in, and the plan says so.
    host.inside(
        "cp /etc/ufw/provision.rules /root/; echo nonsense >>/etc/ufw/provision.rules; ufw reload; true",
    );
    assert!(host.get(9090).is_err() && host.get(8080).is_err());
    let plan = folder.provision(&["plan", &host.name]);
    assert!(plan.stdout.contains("firewall"), "{}", plan.stdout);
    up("8080");
    assert!(host.get(8080)?.contains("nginx"));

    // A person who switches ufw off means it.
    host.inside("ufw disable");
    eventually("everything is open", || host.get(9090).is_ok() && host.get(7000).is_ok());
    assert!(!host.inside("iptables-save; ip6tables-save").contains("PROVISION"));
    Ok(())
}

/// `allow` opens the published port: neither a container's own address, nor what is published for the
/// host alone, nor a bridge with a name of its own.
fn neighbours_on_the_wire() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        r#"
name: wire
services:
  web: {image: "nginx:1.27", ports: ["8080:80"], restart: unless-stopped}
  admin: {image: "nginx:1.27", ports: ["127.0.0.1:9001:80"], restart: unless-stopped}
  custom: {image: "nginx:1.27", ports: ["127.0.0.1:9002:80"], networks: [cust], restart: unless-stopped}
  hidden: {image: "nginx:1.27", restart: unless-stopped}
networks:
  cust:
    driver_opts: {com.docker.network.bridge.name: web0}
"#,
    );
    folder.settings("[steps.firewall]\nallow = [8080, 80, { port = 5432, from = [\"10.91.0.0/16\"] }]\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    assert!(host.get(8080)?.contains("nginx"));
    let address = |service: &str| {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        host.inside(&format!("docker inspect -f '{format}' wire-{service}-1")).trim().to_owned()
    };
    // The neighbour routes to the containers by way of the host.
    let neighbour = Host::make("debian13");
    let knocks = |target: &str, port: u16| {
        let script = format!("exec 3<>/dev/tcp/{target}/{port}");
        neighbour.inside(&format!("timeout 2 bash -c '{script}' 2>/dev/null && echo in || echo out"))
    };
    for service in ["web", "admin", "custom", "hidden"] {
        let target = address(service);
        neighbour.inside(&format!("ip route replace {target}/32 via {}", host.address));
        assert_eq!(knocks(&target, 80), "out\n", "{service} at its own address");
    }
    // To the host's own loopback address, which a neighbour's kernel may be told to send.
    neighbour.inside(&format!(
        "sysctl -q -w net.ipv4.conf.all.route_localnet=1; ip route replace 127.0.0.2/32 via {} table local; \
         ip rule add to 127.0.0.2 table local pref 0; true",
        host.address
    ));
    host.inside("sysctl -q -w net.ipv4.conf.all.route_localnet=1");
    for port in [9001, 9002] {
        assert_eq!(knocks("127.0.0.2", port), "out\n", "{port} on loopback");
        assert_eq!(knocks(&host.address, port), "out\n", "{port}");
    }
    assert_eq!(knocks(&host.address, 8080), "in\n");
    // Containers reach the outside, and each other, as before: also from that bridge.
    let enters = |from: &str, target: &str| {
        let pid = host.inside(&format!("docker inspect -f '{{{{.State.Pid}}}}' wire-{from}-1"));
        let script = format!("exec 3<>/dev/tcp/{target}");
        host.inside(&format!("nsenter -n -t {} timeout 3 bash -c '{script}' && echo in", pid.trim()))
    };
    assert_eq!(enters("custom", "10.91.0.1/5000"), "in\n");
    assert_eq!(enters("hidden", &format!("{}/80", address("web"))), "in\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}
