//! What comes in to a host and its containers, seen from outside, and a change that locks nobody out.

mod lockout;
mod moments;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Folder, Host, Layer, eventually, ssh_config};

const STORIES: &[Story] = &[
    ("firewall::containers_and_their_ports", containers_and_their_ports),
    ("firewall::rules_by_hand", rules_by_hand),
    ("firewall::a_machine_behind", a_machine_behind),
    ("firewall::what_is_exposed", what_is_exposed),
    ("firewall::another_port_and_some_networks", another_port_and_some_networks),
    ("firewall::somebody_else_rules", somebody_else_rules),
];

pub fn stories() -> Vec<Story> {
    [STORIES, lockout::STORIES, moments::STORIES].concat()
}

const ALONE: &str = "steps = [\"firewall\"]\n";

/// A page on 8080 and another one on 9090, in a network with both families.
fn two_pages() -> Folder {
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        r#"
name: two
services:
  shown:
    image: nginx:1.27
    ports: ["8080:80"]
    restart: unless-stopped
  hidden:
    image: nginx:1.27
    ports: ["9090:80"]
    restart: unless-stopped
networks:
  default:
    enable_ipv6: true
    ipam:
      config:
        - subnet: fd92::/64
"#,
    );
    folder
}

/// Docker filters IPv6 only when it is told, before Engine 27.
const IPV6: &str = "[steps.docker.daemon]\nexperimental = true\nip6tables = true\n";

impl Host {
    fn address6(&self) -> String {
        format!("fd91::{}", self.address.rsplit('.').next().expect("a number"))
    }

    /// Whether a port takes connections from the machine that the hosts stand on: IPv4, IPv6.
    pub fn reached(&self, port: u16) -> (bool, bool) {
        let connects = |address: &str| {
            let address: IpAddr = address.parse().expect("an address");
            TcpStream::connect_timeout(&SocketAddr::new(address, port), Duration::from_secs(2)).is_ok()
        };
        (connects(&self.address), connects(&self.address6()))
    }

    /// Whether this host gets through to another one's port.
    fn reaches(&self, address: &str, port: u16) -> bool {
        let command = format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo yes || echo no");
        self.inside(&command).contains("yes")
    }

    fn serves(&self, port: u16) {
        self.inside(&format!(
            "systemd-run -q --unit=page-{port} python3 -m http.server {port} --bind :: -d /tmp"
        ));
        eventually("a page is served", || {
            self.inside(&format!("ss -Hltn sport = :{port}")).contains("LISTEN")
        });
    }

    /// All of ufw's files and whether it is at work.
    fn ufw(&self) -> String {
        self.inside("cd /etc/ufw && find . -type f -exec sha256sum {} + | sort; stat -c '%n %a' *; ufw status verbose")
    }

    #[track_caller]
    fn nothing_is_armed(&self) {
        eventually("nothing is left of the way back", || {
            let left = self.inside(
                "cd /etc/systemd/system && ls -d provision* */provision* 2>/dev/null; \
                 ls /var/lib/provision/firewall; systemctl is-active provision-firewall-revert.timer; true",
            );
            left.replace("reverted\n", "") == "inactive\n"
        });
    }
}

fn install_ufw(host: &Host) {
    host.inside("apt-get -q update && apt-get install -q -y --no-install-recommends ufw");
}

/// A published port that nobody declared is shut for others, whatever is restarted; the declared
/// one stays open, and containers reach each other and the outside.
fn containers_and_their_ports() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = two_pages();
    folder.settings(IPV6);
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    assert_eq!(host.reached(8080), (true, true));
    assert_eq!(host.reached(9090), (true, true), "open to everybody before");

    folder.settings(&format!("{IPV6}[steps.firewall]\nallow = [8080]\n"));
    let planned = folder.planned(&host);
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&[
        "let in 22/tcp (ssh), 8080/tcp and nothing else",
        "anyone can reach 8080/tcp: shown (two)",
        "shuts 9090/tcp (hidden (two)) for others",
        "hidden publishes 9090/tcp and the firewall does not let it in",
        "the new connection succeeded; the change stays",
    ]);
    assert_eq!(planned, ["firewall/install", "firewall/rules", "claims/record"]);
    host.nothing_is_armed();

    let filtered = |after: &str| {
        eventually(&format!("the page is back after {after}"), || host.reached(8080) == (true, true));
        assert!(host.get(8080).expect("the page").contains("nginx"), "after {after}");
        assert_eq!(host.reached(9090), (false, false), "after {after}");
        assert_eq!(host.reached(22), (true, true), "after {after}");
    };
    filtered("up");
    // From container to container, and out.
    for url in ["http://hidden", "http://10.91.0.1:8080"] {
        let fetch =
            format!("docker run --rm --network two_default busybox:1.36 wget -q -T 5 -O /dev/null {url}");
        host.inside(&format!("docker pull -q busybox:1.36 >/dev/null; {fetch}"));
    }
    host.inside("docker restart two-shown-1 two-hidden-1");
    filtered("docker restart");
    host.inside("systemctl restart docker");
    filtered("systemctl restart docker");
    host.inside("ufw reload");
    filtered("ufw reload");
    host.lab("reboot");
    filtered("a reboot");
    eventually("nothing is to be changed", || folder.planned(&host).is_empty());
    folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);

    // What is switched off takes our rules along, at once.
    host.inside("ufw reload; ufw disable");
    assert_eq!(host.reached(9090), (true, true), "ufw is off");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["ufw is not enabled"]);
    filtered("up again");
    Ok(())
}

/// Rules that a person made stay; ours come back when somebody takes them away, and go when
/// nobody asks for them any more.
fn rules_by_hand() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    install_ufw(&host);
    host.inside(
        "ufw allow 7000/tcp; ufw deny from 198.51.100.7; ufw limit 7002/tcp; ufw allow 8080/tcp comment mine; \
         ufw deny 7003/tcp; ufw allow log 7004/tcp",
    );
    host.inside("iptables -I DOCKER-USER -s 198.51.100.9 -j DROP");
    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    let up = || folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]);
    let plan = || folder.provision(&["plan", "--playbook", "./alone.toml", &host.name]);
    folder.settings(
        "[steps.firewall]\nallow = [8080, 7003, 7004, { port = \"8443-8445\", protocol = \"udp\" }]\n",
    );
    up().expect(0).said(&[
        "made by hand, against `allow`, and stays: deny 7003/tcp",
        "rules made by hand stay as they are: allow 7000/tcp from anywhere (IPv4)",
        "1 rule made by hand in DOCKER-USER stay",
    ]);
    let by_hand = [
        "7000/tcp",
        "198.51.100.7",
        "7002/tcp                   LIMIT",
        "# mine",
        "7003/tcp                   DENY",
        "(log)",
    ];
    let status = || host.inside("ufw status");
    let kept = || {
        let (status, user) = (status(), host.inside("iptables -S DOCKER-USER"));
        for rule in by_hand {
            assert!(status.contains(rule), "{rule}\n{status}");
        }
        assert!(user.contains("-s 198.51.100.9/32 -j DROP"), "{user}");
    };
    kept();
    assert!(status().contains("8443:8445/udp"), "{}", status());
    up().expect(0).said(&["nothing to change"]);

    // Somebody adds one: nothing to change. Somebody takes ours away, or what is loaded of ours.
    host.inside("ufw allow 7001/tcp");
    up().expect(0).said(&["nothing to change"]);
    host.inside("ufw delete allow 8443:8445/udp");
    let did = plan();
    assert!(did.stdout.contains("not let in by ufw: 8443-8445/udp from anywhere (IPv4)"), "{}", did.stdout);
    up().expect(0);
    assert!(status().contains("8443:8445/udp"), "{}", status());
    host.inside("iptables -t mangle -D PROVISION-FORWARD 3");
    assert!(plan().stdout.contains("the rules for containers are not loaded as they should be"));
    up().expect(0);
    host.inside("ip6tables -t mangle -D FORWARD -j PROVISION-FORWARD");
    up().expect(0).said(&["the rules for containers are not loaded"]);
    host.inside("ufw reload");
    up().expect(0).said(&["nothing to change"]);
    host.inside("systemctl disable ufw");
    up().expect(0).said(&["ufw is not started at boot"]);
    assert_eq!(host.inside("systemctl is-enabled ufw"), "enabled\n");

    folder.settings("[steps.firewall]\nallow = [8080]\n");
    let did = up();
    did.expect(0).said(&["let in and no longer asked for: allow 8443-8445/udp from anywhere (IPv4)"]);
    assert!(!status().contains("8443"), "{}", status());
    folder.settings("[steps.firewall]\nallow = []\n");
    up().expect(0);
    kept();
    folder.settings("");
    up().expect(0).said(&["left as it is", "remove the claim of alone"]);
    up().expect(0).said(&["nothing to change"]);
    kept();
    Ok(())
}

/// A host that forwards for a machine behind it, as routers and hosts of virtual machines do: its port is
/// not cut off unasked, and it reaches the outside as before.
fn a_machine_behind() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    host.inside(
        "ip netns add behind && ip link add to-behind type veth peer name inner netns behind && \
         ip address add 10.99.0.1/24 dev to-behind && ip link set to-behind up && \
         ip -n behind address add 10.99.0.2/24 dev inner && ip -n behind link set inner up && \
         ip -n behind route add default via 10.99.0.1 && iptables -P FORWARD ACCEPT && \
         iptables -t nat -A POSTROUTING -s 10.99.0.0/24 -o eth0 -j MASQUERADE && \
         iptables -t nat -A PREROUTING -p tcp --dport 2222 -j DNAT --to-destination 10.99.0.2:22 && \
         systemd-run -q --unit=behind nsenter --net=/run/netns/behind /usr/sbin/sshd -D -o PidFile=none",
    );
    let outward = || {
        host.inside(
            "nsenter --net=/run/netns/behind timeout 3 bash -c 'exec 3<>/dev/tcp/10.91.0.1/8080' && echo yes || echo no",
        )
    };
    eventually("the machine behind is reached", || host.reached(2222).0);
    assert_eq!(outward(), "yes\n", "before");

    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    let up = || folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]);
    folder.settings("[steps.firewall]\nallow = []\n");
    up().expect(3).said(&[
        "would close 2222/tcp, which is in use on the host",
        "2222/tcp: forwarded to 10.99.0.2:22 by iptables, chain PREROUTING",
        "`allow = [2222]`",
    ]);
    assert!(host.reached(2222).0, "nothing was changed");
    folder.settings("[steps.firewall]\nallow = [2222]\n");
    up().expect(0).said(&["this host forwards packets between networks"]);
    let works = |after: &str| {
        assert!(host.reached(2222).0, "after {after}");
        assert_eq!(outward(), "yes\n", "after {after}");
    };
    works("up");
    host.inside("ufw reload");
    works("a reload");
    let again = up();
    again.expect(0).said(&["nothing to change"]);
    Ok(())
}

/// `expose` sees what is reached from here, whoever opened it, and what is not although it should be.
fn what_is_exposed() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = two_pages();
    let expose = |arguments: &[&str]| folder.provision(&[&["expose", &host.name], arguments].concat());
    // Before anything is there only ssh is, and it should be.
    let nowhere = Folder::empty();
    let did = nowhere.provision(&["expose", &host.name]);
    did.expect(0);
    assert!(did.stdout.contains("22/tcp") && did.stdout.contains("sshd"), "{}", did.stdout);

    folder.settings("[steps.firewall]\nallow = [8080]\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&[
        "8080/tcp",
        "shown (two)",
        "none reachable",
    ]);
    expose(&[]).expect(0);

    // Somebody opens one behind our back.
    host.serves(9999);
    expose(&[]).expect(0);
    host.inside("iptables -I INPUT -p tcp --dport 9999 -j ACCEPT");
    let did = expose(&[]);
    did.fails(11, &["9999/tcp (python3) is reached from here and not declared"]);
    let row = did.stdout.lines().find(|line| line.contains("9999/tcp")).expect("a row");
    assert!(row.contains("python3") && row.contains("reachable"), "{row}");
    let did = expose(&["--json"]);
    let events = did.events();
    let exposure = events.iter().find(|event| event["event"] == "exposure").expect("exposure");
    let row = exposure["rows"].as_array().expect("rows").iter().find(|row| row["ports"] == "9999");
    assert_eq!(row.map(|row| &row["verdict"]), Some(&"undeclared".into()), "{exposure}");
    host.inside("iptables -D INPUT -p tcp --dport 9999 -j ACCEPT");

    // What should be reached and is not: shut on the way, or nobody there.
    host.inside("iptables -t raw -I PREROUTING -p tcp --dport 8080 -j DROP");
    expose(&[]).fails(11, &["8080/tcp (shown (two)) is declared and not reached from here"]);
    host.inside("iptables -t raw -D PREROUTING -p tcp --dport 8080 -j DROP; docker stop two-shown-1");
    let did = expose(&[]);
    did.fails(11, &["8080/tcp is declared and not reached from here"]);
    assert!(did.stdout.contains("nothing listens"), "{}", did.stdout);
    host.inside("docker start two-shown-1");
    eventually("it is back", || expose(&[]).code == 0);
    Ok(())
}

/// ssh is let in where it really is, and a port for some networks answers those alone.
fn another_port_and_some_networks() -> Result<(), Failed> {
    let (host, friend, stranger) = (Host::make("debian13"), Host::make("debian13"), Host::make("debian13"));
    host.inside("echo Port 2222 >/etc/ssh/sshd_config.d/port.conf && systemctl restart ssh");
    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    let config = folder.path().join("ssh_config");
    folder.write(
        "ssh_config",
        &format!("Host {}\n  Port 2222\nInclude {}\n", host.name, ssh_config().display()),
    );
    let config = config.to_str().expect("a path");
    let up = || folder.provision(&["up", "-F", config, "--yes", "--playbook", "./alone.toml", &host.name]);
    // The key is known under another port.
    folder.write(
        "ssh_config",
        &format!(
            "Host {}\n  Port 2222\n  UserKnownHostsFile {}\nInclude {}\n",
            host.name,
            folder.path().join("known").display(),
            ssh_config().display()
        ),
    );
    folder.settings(&format!(
        "[steps.firewall]\nallow = [{{ port = 8000, from = [\"{}\", \"{}\"] }}]\n",
        friend.address,
        friend.address6()
    ));
    up().expect(0).said(&["let in 2222/tcp (ssh), 8000/tcp from ", "anyone can reach 2222/tcp: sshd"]);
    up().expect(0).said(&["nothing to change"]);
    host.serves(8000);
    host.serves(22);
    for address in [host.address.clone(), host.address6()] {
        assert!(friend.reaches(&address, 8000), "a friend at {address}");
        assert!(!stranger.reaches(&address, 8000), "a stranger at {address}");
        assert!(!friend.reaches(&address, 22), "no ssh there");
        assert!(stranger.reaches(&address, 2222), "ssh at {address}");
    }

    // A way in that does not admit the one who sets it is refused before anything is changed.
    let before = host.ufw();
    folder.settings("[steps.firewall]\nallow = [{ port = \"ssh\", from = [\"198.51.100.0/24\"] }]\n");
    up().fails(3, &["these rules would shut out the connection that sets them", "10.91.0.1"]);
    assert_eq!(host.ufw(), before);
    folder.settings("[steps.firewall]\nallow = [{ port = \"ssh\", from = [\"10.91.0.1\"] }]\n");
    up().expect(0).said(&["10.91.0.1 can reach 2222/tcp: sshd", "no longer asked for"]);
    assert!(!stranger.reaches(&host.address, 2222) && !friend.reaches(&host.address, 8000));
    assert_eq!(host.reached(2222), (true, false));
    Ok(())
}

/// Who rules already is not fought: nothing is changed.
fn somebody_else_rules() -> Result<(), Failed> {
    let host = Host::make("debian13");
    host.inside(
        "apt-get -q update && apt-get install -q -y --no-install-recommends iptables nftables firewalld",
    );
    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    folder.settings("[steps.firewall]\nallow = [8080]\n");
    let packages = host.inside("dpkg-query -W");
    let refused = |text: &str| {
        folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]).fails(
            3,
            &[text, "two firewalls on one host would work against each other", "leave `allow` out"],
        );
    };
    refused("firewalld manages this host's firewall");
    host.inside("systemctl disable --now firewalld");

    let table = |name: &str, rule: &str| {
        host.inside(&format!(
            "printf '%s\\n' 'table inet {name} {{' 'chain input {{' 'type filter hook input priority 0;' '{rule}' '}}' '}}' | nft -f -"
        ));
    };
    table("mine", "tcp dport 9999 drop");
    refused("nftables has a ruleset that provision did not load (inet mine)");
    host.inside("nft delete table inet mine");
    // What only watches keeps nobody out.
    table("watch", "counter");

    host.inside("iptables -A INPUT -p tcp --dport 9999 -j REJECT");
    refused("iptables has INPUT rules that provision did not add");
    host.inside("iptables -F INPUT");
    assert_eq!(host.inside("dpkg-query -W"), packages);
    assert_eq!(host.inside("ls -d /var/lib/provision 2>/dev/null || true"), "");

    folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]).expect(0);
    Ok(())
}
